// XLA's CPU client over several processes, with MPI between them: a library of its own, which the program loads only
// where it is asked to (src/runtime/processes.rs).
//
// XLA's client takes the collectives as an interface. An all-reduce here adds in the order of the devices, from zero, as
// XLA's own does within one process: the sums are the same bit for bit with any number of processes and any MPI. An MPI's
// own all-reduce adds in an order that depends on the message's size and on the machines.
//
// No call of MPI is checked: MPI ends all processes where one fails, and says in which call. A process that has lost another
// can do nothing else.
#include <mpi.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "xla/backends/cpu/collectives/cpu_collectives.h"
#include "xla/core/collectives/clique_key.h"
#include "xla/core/collectives/communicator.h"
#include "xla/future.h"
#include "xla/hlo/builder/xla_computation.h"
#include "xla/pjrt/pjrt_client.h"
#include "xla/pjrt/pjrt_executable.h"
#include "xla/pjrt/plugin/xla_cpu/cpu_client_options.h"
#include "xla/pjrt/plugin/xla_cpu/xla_cpu_pjrt_client.h"
#include "xla/service/computation_placer.h"

#include "mpi_store.h"

namespace {

using Address = stream_executor::DeviceAddressBase;
using Clock = std::chrono::steady_clock;

// XLA numbers a device of the CPU `process << 11 | place in its process`.
constexpr int kPlaceBits = 11;
// The most devices of a process: two of their numbers fit into a tag of MPI, which has at least 15 bits.
constexpr int kMostDevices = 1 << 7;
// Up to this many bytes, each device sends its whole array to all others: one exchange instead of two.
constexpr size_t kSmall = 4096;
// Bytes added at a time; this bounds the receive buffers.
constexpr size_t kSegment = size_t{32} << 20;

int rank = 0;
int processes = 1;
int place = 0;  // among the processes of this machine
MPI_Comm data_comm = MPI_COMM_NULL;   // all-reduces of programs
MPI_Comm order_comm = MPI_COMM_NULL;  // messages between processes
MPI_Comm store_comm = MPI_COMM_NULL;  // the store of clients for GPUs
std::shared_ptr<xla::PjRtClient> client;
KeyValueStore* store = nullptr;
std::atomic<uint64_t> bytes_sent{0};
std::atomic<uint64_t> nanoseconds{0};
std::atomic<uint64_t> sums_made{0};

// Waits without taking a core from those that compute: MPI's own waiting spins.
void Wait(std::vector<MPI_Request>& requests) {
  const Clock::time_point start = Clock::now();
  while (true) {
    int done = 0;
    MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE);
    if (done) return;
    const auto waited = Clock::now() - start;
    if (waited < std::chrono::milliseconds(2)) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(waited < std::chrono::seconds(1) ? 50 : 1000));
    }
  }
}

template <typename T>
__attribute__((optimize("O3"))) void Add(T* __restrict__ sums, const T* __restrict__ terms, size_t count) {
  for (size_t i = 0; i < count; ++i) sums[i] = sums[i] + terms[i];
}

// One device of a clique.
class Communicator : public xla::Communicator {
 public:
  Communicator(std::vector<xla::GlobalDeviceId> devices, size_t self) : devices_(std::move(devices)), self_(self) {}

  // XLA asks for one sum at a time. While it waits for the next, it computes whatever does not depend on this one.
  xla::Future<> AllReduce(Address in, Address out, xla::PrimitiveType type, size_t count, xla::ReductionKind kind,
                          const Executor&) override {
    void (Communicator::*sum)(Address, Address, size_t) = nullptr;
    switch (type) {
      case xla::F32: sum = &Communicator::Sum<float>; break;
      case xla::F64: sum = &Communicator::Sum<double>; break;
      case xla::S32: sum = &Communicator::Sum<int32_t>; break;
      case xla::U32: sum = &Communicator::Sum<uint32_t>; break;
      case xla::S64: sum = &Communicator::Sum<int64_t>; break;
      case xla::U64: sum = &Communicator::Sum<uint64_t>; break;
      default: return xla::Future<>(absl::UnimplementedError("an all-reduce of this type"));
    }
    if (kind != xla::ReductionKind::SUM) return xla::Future<>(absl::UnimplementedError("only sums are all-reduced"));
    if (in.size() <= kSmall) {
      (this->*sum)(in, out, count);
      return xla::Future<>(absl::OkStatus());
    }
    auto [promise, future] = xla::MakePromise<>();
    std::thread([this, sum, in, out, count, promise = std::move(promise)]() mutable {
      (this->*sum)(in, out, count);
      promise.Set(absl::OkStatus());
    }).detach();
    return std::move(future);
  }

  // The programs use no other collectives.
  static xla::Future<> None() { return xla::Future<>(absl::UnimplementedError("no collective but the all-reduce")); }
  xla::Future<> Broadcast(Address, Address, xla::PrimitiveType, size_t, xla::RankId, const Executor&) override {
    return None();
  }
  xla::Future<> ReduceScatter(Address, Address, xla::PrimitiveType, size_t, xla::ReductionKind,
                              const Executor&) override {
    return None();
  }
  xla::Future<> AllGather(Address, Address, xla::PrimitiveType, size_t, const Executor&) override { return None(); }
  xla::Future<> CollectivePermute(Address, Address, xla::PrimitiveType, size_t, std::optional<xla::RankId>,
                                  absl::Span<const xla::RankId>, const Executor&) override {
    return None();
  }
  xla::Future<> AllToAll(absl::InlinedVector<Address, 4>, absl::InlinedVector<Address, 4>, xla::PrimitiveType, size_t,
                         const Executor&) override {
    return None();
  }
  xla::Future<> Send(Address, xla::PrimitiveType, size_t, xla::RankId, const Executor&) override { return None(); }
  xla::Future<> Recv(Address, xla::PrimitiveType, size_t, xla::RankId, const Executor&) override { return None(); }

  absl::StatusOr<size_t> NumRanks() const override { return devices_.size(); }
  std::string ToString() const override { return "MPI"; }

 private:
  struct Part {
    size_t from, to;
    size_t size() const { return to - from; }
  };

  int ProcessOf(size_t device) const { return static_cast<int>(devices_[device].value() >> kPlaceBits); }
  int PlaceOf(size_t device) const { return static_cast<int>(devices_[device].value() & ((1 << kPlaceBits) - 1)); }

  // Between two processes, messages of one tag arrive in the order in which they were sent.
  int Tag(size_t from, size_t to) const { return PlaceOf(from) * kMostDevices + PlaceOf(to); }

  template <typename T>
  void Send(const T* values, Part part, size_t to, std::vector<MPI_Request>& requests) {
    if (part.size() == 0) return;
    const int size = static_cast<int>(part.size() * sizeof(T));
    bytes_sent += size;
    MPI_Isend(values + part.from, size, MPI_BYTE, ProcessOf(to), Tag(self_, to), data_comm, &requests.emplace_back());
  }

  template <typename T>
  void Receive(T* values, Part part, size_t from, std::vector<MPI_Request>& requests) {
    if (part.size() == 0) return;
    MPI_Irecv(values + part.from, static_cast<int>(part.size() * sizeof(T)), MPI_BYTE, ProcessOf(from),
              Tag(from, self_), data_comm, &requests.emplace_back());
  }

  template <typename T>
  void Sum(Address in, Address out, size_t count) {
    const Clock::time_point start = Clock::now();
    const T* values = static_cast<const T*>(in.opaque());
    T* sums = static_cast<T*>(out.opaque());
    const size_t most = kSegment / sizeof(T);
    for (size_t from = 0; from < count; from += most) {
      SumSegment(values + from, sums + from, std::min(most, count - from));
    }
    nanoseconds += std::chrono::nanoseconds(Clock::now() - start).count();
    ++sums_made;
  }

  // Each device adds a part of the numbers, and gives the sums to all others. `values` and `sums` may be the same place.
  template <typename T>
  void SumSegment(const T* values, T* sums, size_t count) {
    const size_t n = devices_.size();
    const bool is_small = count * sizeof(T) <= kSmall;
    auto part = [&](size_t device) {
      return is_small ? Part{0, count} : Part{count * device / n, count * (device + 1) / n};
    };
    const Part own = part(self_);
    std::vector<T> arrived(own.size() * n);
    std::vector<MPI_Request> requests;
    for (size_t other = 0; other < n; ++other) {
      if (other == self_) continue;
      Receive(arrived.data() + other * own.size(), Part{0, own.size()}, other, requests);
      Send(values, part(other), other, requests);
    }
    Wait(requests);
    std::copy_n(values + own.from, own.size(), arrived.begin() + self_ * own.size());
    std::fill_n(sums + own.from, own.size(), T(0));
    for (size_t device = 0; device < n; ++device) {
      Add(sums + own.from, arrived.data() + device * own.size(), own.size());
    }
    if (is_small) return;
    requests.clear();
    for (size_t other = 0; other < n; ++other) {
      if (other == self_) continue;
      Receive(sums, part(other), other, requests);
      Send(sums, own, other, requests);
    }
    Wait(requests);
  }

  std::vector<xla::GlobalDeviceId> devices_;
  size_t self_;
};

class Collectives : public xla::cpu::CpuCollectives {
 public:
  absl::StatusOr<std::vector<std::unique_ptr<xla::Communicator>>> CreateCommunicators(
      const xla::CliqueKey& key, const std::optional<xla::CliqueIds>&, absl::Span<const DeviceRank> ranks,
      const Config&) override {
    std::vector<std::unique_ptr<xla::Communicator>> all;
    for (const DeviceRank& device : ranks) {
      std::vector<xla::GlobalDeviceId> devices(key.devices().begin(), key.devices().end());
      all.push_back(std::make_unique<Communicator>(std::move(devices), device.rank.value()));
    }
    return all;
  }
};

// Begins a message for each segment of the bytes, and waits for its end.
template <typename Begin>
void InSegments(void* bytes, size_t size, Begin begin) {
  for (size_t from = 0; from < size; from += kSegment) {
    std::vector<MPI_Request> requests(1);
    begin(static_cast<char*>(bytes) + from, static_cast<int>(std::min(kSegment, size - from)), requests.data());
    Wait(requests);
  }
}

// The error message, valid until this thread's next call; null on success.
const char* Told(const absl::Status& status) {
  static thread_local std::string message;
  if (status.ok()) return nullptr;
  message = std::string(status.message());
  return message.c_str();
}

absl::Status Start() {
  int provided = MPI_THREAD_SINGLE;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided);
  if (provided != MPI_THREAD_MULTIPLE) {
    return absl::FailedPreconditionError("this MPI does not let several threads call it (MPI_THREAD_MULTIPLE)");
  }
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &processes);
  MPI_Comm machine;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
  MPI_Comm_rank(machine, &place);
  MPI_Comm_free(&machine);
  for (MPI_Comm* comm : {&data_comm, &order_comm, &store_comm}) MPI_Comm_dup(MPI_COMM_WORLD, comm);
  return absl::OkStatus();
}

absl::Status Open() {
  xla::CpuClientOptions options;
  options.asynchronous = false;
  options.process_id = rank;
  options.collectives = std::make_shared<Collectives>();
  absl::StatusOr<std::unique_ptr<xla::PjRtClient>> opened = xla::GetXlaPjrtCpuClient(std::move(options));
  if (!opened.ok()) return opened.status();
  if ((*opened)->addressable_device_count() > kMostDevices) {
    return absl::InvalidArgumentError("more than " + std::to_string(kMostDevices) + " devices in one process");
  }
  client = std::move(*opened);
  return absl::OkStatus();
}

absl::Status Compile(const void* program, size_t size, int devices, xla::PjRtLoadedExecutable** compiled) {
  if (devices < 1 || devices > client->addressable_device_count()) {
    return absl::InvalidArgumentError(std::to_string(devices) + " devices of this process, which has " +
                                      std::to_string(client->addressable_device_count()));
  }
  xla::HloModuleProto module;
  if (!module.ParseFromArray(program, static_cast<int>(size))) {
    return absl::InvalidArgumentError("expected an HloModuleProto, got other bytes");
  }
  xla::CompileOptions options;
  xla::DeviceAssignment assignment(devices * processes, 1);
  for (int i = 0; i < devices * processes; ++i) assignment(i, 0) = i / devices << kPlaceBits | i % devices;
  options.executable_build_options.set_num_replicas(devices * processes);
  options.executable_build_options.set_num_partitions(1);
  options.executable_build_options.set_device_assignment(assignment);
  absl::StatusOr<std::unique_ptr<xla::PjRtLoadedExecutable>> executable =
      client->CompileAndLoad(xla::XlaComputation(std::move(module)), std::move(options));
  if (!executable.ok()) return executable.status();
  *compiled = executable->release();
  return absl::OkStatus();
}

}  // namespace

extern "C" {

// Joins the other processes; tells which one this is, in all and on its machine, and how many there are.
const char* neural_mpi_start(int* own, int* own_on_machine, int* all) {
  absl::Status status = Start();
  *own = rank;
  *own_on_machine = place;
  *all = processes;
  return Told(status);
}

// The store that xla_glue_open_with takes, a shared pointer, for clients of plugins in all processes.
const void* neural_mpi_store() {
  // It outlives every static destructor.
  static const auto* shared = [] {
    store = new KeyValueStore(store_comm, rank);
    return new std::shared_ptr<xla::KeyValueStoreInterface>(store);
  }();
  return shared;
}

// XLA's client of this process, which the caller deletes; after the start.
const char* neural_mpi_client(std::shared_ptr<xla::PjRtClient>** opened) {
  absl::Status status = client == nullptr ? Open() : absl::OkStatus();
  if (status.ok()) *opened = new std::shared_ptr<xla::PjRtClient>(client);
  return Told(status);
}

// A program, an HloModuleProto, for the first `devices` devices of every process; the caller deletes it.
const char* neural_mpi_compile(const void* program, size_t size, int devices, xla::PjRtLoadedExecutable** compiled) {
  return Told(Compile(program, size, devices, compiled));
}

// Brings the bytes of the first process to all others. Each call must be made by all, and with the same size.
void neural_mpi_broadcast(void* bytes, size_t size) {
  InSegments(bytes, size, [](char* from, int count, MPI_Request* request) {
    MPI_Ibcast(from, count, MPI_BYTE, 0, order_comm, request);
  });
}

// Sends bytes to the process `to`, which receives as many from this one.
void neural_mpi_send(void* bytes, size_t size, int to) {
  InSegments(bytes, size, [to](char* from, int count, MPI_Request* request) {
    MPI_Isend(from, count, MPI_BYTE, to, 0, order_comm, request);
  });
}

void neural_mpi_receive(void* bytes, size_t size, int sender) {
  InSegments(bytes, size, [sender](char* from, int count, MPI_Request* request) {
    MPI_Irecv(from, count, MPI_BYTE, sender, 0, order_comm, request);
  });
}

// Waits until all processes are here.
void neural_mpi_barrier() {
  std::vector<MPI_Request> requests(1);
  MPI_Ibarrier(order_comm, requests.data());
  Wait(requests);
}

// The all-reduces that the devices of this process have made, the bytes that it has sent for them, and the nanoseconds that
// they took.
void neural_mpi_traffic(uint64_t* sums, uint64_t* bytes, uint64_t* took) {
  *sums = sums_made;
  *bytes = bytes_sent;
  *took = nanoseconds;
}

// Leaves, once all others do. No program may run any more.
void neural_mpi_end() {
  if (store != nullptr) {
    MPI_Barrier(store_comm);
    store->Stop();
  }
  MPI_Finalize();
}

// Ends all processes.
void neural_mpi_abort(int code) { MPI_Abort(MPI_COMM_WORLD, code); }

}  // extern "C"
