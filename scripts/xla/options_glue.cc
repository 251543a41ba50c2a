// XLA reads its settings from XLA_FLAGS, once for a process, and each copy of XLA in a process reads them for itself.
// A compilation can also be given single settings by name, which leaves all others as the plugin has them, but the
// `xla` crate has no function for it. Here is the function by which the crate has a plugin compile. The linker script
// lists this library before XLA's, so this definition is the one that is used.
#include <dlfcn.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "xla/pjrt/pjrt_client.h"
#include "xla/pjrt/pjrt_executable.h"

namespace {

// A setting of XLA as in XLA_FLAGS, without the dashes.
struct Setting {
  const char* name;
  const char* value;
};

thread_local xla::CompileOptions::EnvironmentOptionOverrides settings;

using Loaded = absl::StatusOr<std::unique_ptr<xla::PjRtLoadedExecutable>>;

}  // namespace

// For the compilations of this thread by plugins, until it is called again.
extern "C" void xla_glue_compile_with(const Setting* given, size_t count) {
  settings.clear();
  for (const Setting* setting = given; setting != given + count; ++setting) {
    settings.emplace_back(setting->name, std::string(setting->value));
  }
}

// xla::PjRtCApiClient::CompileAndLoad(const XlaComputation&, CompileOptions)
#define COMPILE "_ZN3xla14PjRtCApiClient14CompileAndLoadERKNS_14XlaComputationENS_14CompileOptionsE"

Loaded CompileByPlugin(xla::PjRtClient* client, const xla::XlaComputation& computation, xla::CompileOptions options)
    __asm__(COMPILE);

Loaded CompileByPlugin(xla::PjRtClient* client, const xla::XlaComputation& computation, xla::CompileOptions options) {
  static const auto xlas = reinterpret_cast<decltype(&CompileByPlugin)>(dlsym(RTLD_NEXT, COMPILE));
  options.env_option_overrides.insert(options.env_option_overrides.end(), settings.begin(), settings.end());
  return xlas(client, computation, std::move(options));
}
