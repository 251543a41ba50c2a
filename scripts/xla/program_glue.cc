// XLA's CPU backend can write a compiled program down and read it again, in a small part of the time that it takes to
// compile it, but the `xla` crate has no function for either. Here is the function by which the crate has a program
// compiled. The linker script lists this library before XLA's, so this definition is the one that is used.
#include <dlfcn.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "xla/pjrt/pjrt_client.h"
#include "xla/pjrt/pjrt_executable.h"

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
