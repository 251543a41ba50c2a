// The store through which XLA's clients for GPUs in several processes find each other: the lists of their devices, and the
// identifiers with which NCCL connects them. The first process holds the pairs, and a thread of it answers the others by MPI.
#pragma once
#include <mpi.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "xla/pjrt/distributed/key_value_store_interface.h"

class KeyValueStore : public xla::KeyValueStoreInterface {
 public:
  // All processes make one, on a communicator that nothing else uses.
  KeyValueStore(MPI_Comm comm, int rank) : comm_(comm), is_first_(rank == 0) {
    if (is_first_) server_ = std::thread([this] { Serve(); });
  }

  // No process may ask any more.
  void Stop() {
    stopping_ = true;
    if (server_.joinable()) server_.join();
  }

  absl::StatusOr<std::string> Get(absl::string_view key, absl::Duration timeout) override {
    const absl::Time end = absl::Now() + timeout;
    while (true) {
      absl::StatusOr<std::string> value = TryGet(key);
      if (value.ok() || absl::Now() >= end) return value;
      absl::SleepFor(kPause);
    }
  }

  absl::StatusOr<std::string> TryGet(absl::string_view key) override { return Ask(kGet, key, ""); }

  absl::Status Set(absl::string_view key, absl::string_view value) override { return Ask(kSet, key, value).status(); }

  std::shared_ptr<tsl::CallOptions> AsyncGet(absl::string_view,
                                             tsl::CoordinationServiceAgent::StatusOrValueCallback done) override {
    done(absl::UnimplementedError("PJRT's interface for plugins has no call that would lead here"));
    return nullptr;
  }

 private:
  // A message is one of these, and then a key, its end and a value, or only a value. The keys are words, without a zero.
  enum Word : char { kGet, kSet, kDone, kMissing, kTaken };
  enum Tag { kQuestion, kAnswer };
  static constexpr absl::Duration kPause = absl::Milliseconds(1);

  absl::StatusOr<std::string> Ask(Word word, absl::string_view key, absl::string_view value) {
    std::string message = absl::StrCat(std::string(1, word), key, std::string(1, '\0'), value);
    if (is_first_) {
      message = Answer(message);
    } else {
      // One question at a time, so that each answer is to the last of them.
      std::lock_guard<std::mutex> lock(asking_);
      MPI_Send(message.data(), static_cast<int>(message.size()), MPI_BYTE, 0, kQuestion, comm_);
      MPI_Message answer;
      MPI_Status status;
      MPI_Mprobe(0, kAnswer, comm_, &answer, &status);
      message = Receive(answer, status);
    }
    switch (message.at(0)) {
      case kDone: return message.substr(1);
      case kTaken: return absl::AlreadyExistsError(absl::StrCat("the key ", key, " has a value"));
      default: return absl::NotFoundError(absl::StrCat("no process has set ", key));
    }
  }

  std::string Answer(const std::string& question) {
    const size_t end = question.find('\0', 1);
    std::string key = question.substr(1, end - 1);
    std::lock_guard<std::mutex> lock(holding_);
    if (question[0] == kSet) {
      const bool is_new = pairs_.try_emplace(std::move(key), question.substr(end + 1)).second;
      return std::string(1, is_new ? kDone : kTaken);
    }
    auto found = pairs_.find(key);
    return found == pairs_.end() ? std::string(1, kMissing) : std::string(1, kDone) + found->second;
  }

  void Serve() {
    while (!stopping_) {
      int is_there = 0;
      MPI_Message question;
      MPI_Status status;
      MPI_Improbe(MPI_ANY_SOURCE, kQuestion, comm_, &is_there, &question, &status);
      if (!is_there) {
        absl::SleepFor(kPause);
        continue;
      }
      const int asker = status.MPI_SOURCE;
      const std::string answer = Answer(Receive(question, status));
      MPI_Send(answer.data(), static_cast<int>(answer.size()), MPI_BYTE, asker, kAnswer, comm_);
    }
  }

  static std::string Receive(MPI_Message& message, MPI_Status& status) {
    int size = 0;
    MPI_Get_count(&status, MPI_BYTE, &size);
    std::string bytes(size, '\0');
    MPI_Mrecv(bytes.data(), size, MPI_BYTE, &message, MPI_STATUS_IGNORE);
    return bytes;
  }

  const MPI_Comm comm_;
  const bool is_first_;
  std::mutex asking_;
  std::mutex holding_;
  std::map<std::string, std::string> pairs_;
  std::atomic<bool> stopping_{false};
  std::thread server_;
};
