// XLA's CPU backend can write a compiled program down and read it again, in a small part of the time that it takes to
// compile it, but the `xla` crate has no function for either. Here is the function by which the crate has a program
// compiled, and one that mends what is lost on the way. The linker script lists this library before XLA's, so these
// definitions are the ones that are used.
#include <dlfcn.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "xla/pjrt/pjrt_client.h"
#include "xla/pjrt/pjrt_executable.h"
#include "xla/service/custom_call_status_internal.h"
#include "xla/service/hlo.pb.h"
#include "xla/shape.h"

namespace {

// What one compilation is given and hands over. `written` is a program written down earlier, or null; `keep` is called
// with one that had to be compiled.
struct Exchange {
  const char* written;
  size_t size;
  void (*keep)(void* keeper, const char* written, size_t size);
  void* keeper;
};

thread_local const Exchange* exchange = nullptr;

using Loaded = absl::StatusOr<std::unique_ptr<xla::PjRtLoadedExecutable>>;

// xla::cpu::CustomCallThunk::OpBuffers, whose header the wheel lacks a part of. Slices are not looked at.
struct CallBuffers {
  std::vector<char> argument_slices;
  std::vector<xla::Shape> argument_shapes;
  std::vector<char> result_slices;
  std::vector<xla::Shape> result_shapes;
  bool is_tuple_result;
};

// What is handed on as it is: xla::cpu::Thunk::Info, and the thunk or an error, which is made in its place.
struct ThunkInfo;
struct CreatedThunk {
  CreatedThunk(const CreatedThunk&);
  ~CreatedThunk();
};

}  // namespace

// For the compilations of this thread, until it is called with null.
extern "C" void xla_glue_exchange_programs(const Exchange* with) { exchange = with; }

// xla::PjRtCpuClient::CompileAndLoad(const XlaComputation&, CompileOptions)
#define COMPILE "_ZN3xla13PjRtCpuClient14CompileAndLoadERKNS_14XlaComputationENS_14CompileOptionsE"

Loaded CompileAndLoad(xla::PjRtClient* client, const xla::XlaComputation& computation, xla::CompileOptions options)
    __asm__(COMPILE);

Loaded CompileAndLoad(xla::PjRtClient* client, const xla::XlaComputation& computation, xla::CompileOptions options) {
  static const auto xlas = reinterpret_cast<decltype(&CompileAndLoad)>(dlsym(RTLD_NEXT, COMPILE));
  const Exchange* with = exchange;
  if (with == nullptr) return xlas(client, computation, std::move(options));
  if (with->written != nullptr) {
    Loaded read = client->LoadSerializedExecutable(std::string_view(with->written, with->size), options, {});
    if (read.ok()) return read;
  }
  Loaded compiled = xlas(client, computation, std::move(options));
  if (compiled.ok()) {
    absl::StatusOr<std::string> written = (*compiled)->SerializeExecutable();
    if (written.ok()) with->keep(with->keeper, written->data(), written->size());
  }
  return compiled;
}

// Makes the call of a function that goes on a failure; the library does not export the function that XLA has for it.
extern "C" void xla_glue_fail(XlaCustomCallStatus* status, const char* message, size_t size) {
  status->message.emplace(message, size);
}

// xla::cpu::CustomCallThunk::Create(Info, string_view, OpBuffers, string_view, CustomCallApiVersion)
#define CREATE_CALL                                                                        \
  "_ZN3xla3cpu15CustomCallThunk6CreateENS0_5Thunk4InfoESt17basic_string_viewIcSt11char_traitsIcEE" \
  "NS1_9OpBuffersES7_NS_20CustomCallApiVersionE"

extern "C" CreatedThunk CreateCall(ThunkInfo* info, std::string_view target, CallBuffers* buffers,
                                   std::string_view config, int api_version) __asm__(CREATE_CALL);

// A call of a function in the program. Whether its result is a tuple is not written down, and not set when it is read.
// The program's own functions report failures, which the crate does not say of them.
CreatedThunk CreateCall(ThunkInfo* info, std::string_view target, CallBuffers* buffers, std::string_view config,
                        int api_version) {
  static const auto xlas = reinterpret_cast<decltype(&CreateCall)>(dlsym(RTLD_NEXT, CREATE_CALL));
  buffers->is_tuple_result = buffers->result_shapes.size() != 1;
  if (target.substr(0, 7) == "neural_") api_version = xla::CustomCallApiVersion::API_VERSION_STATUS_RETURNING;
  return xlas(info, target, buffers, config, api_version);
}
