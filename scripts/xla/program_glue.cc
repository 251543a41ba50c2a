// XLA's CPU backend can serialise a compiled program and load it again, in a fraction of the time that compiling takes.
// PJRT has a function for each; the `xla` crate exposes neither.
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "xla/pjrt/pjrt_client.h"
#include "xla/pjrt/pjrt_executable.h"

extern "C" {

// Calls `keep` with the program written down, unless XLA cannot write it.
void xla_glue_write_program(const xla::PjRtLoadedExecutable* program,
                            void (*keep)(void* keeper, const char* written, size_t size), void* keeper) {
  absl::StatusOr<std::string> written = program->SerializeExecutable();
  if (written.ok()) keep(keeper, written->data(), written->size());
}

// The program that was written down for the client of `device`; null if XLA refuses it. It is the caller's to delete.
xla::PjRtLoadedExecutable* xla_glue_read_program(const xla::PjRtDevice* device, const char* written, size_t size) {
  absl::StatusOr<std::unique_ptr<xla::PjRtLoadedExecutable>> program =
      device->client()->LoadSerializedExecutable(std::string_view(written, size), xla::CompileOptions(), {});
  return program.ok() ? program->release() : nullptr;
}

}  // extern "C"
