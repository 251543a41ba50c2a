// XLA's wheel keeps its registry of PJRT plugins private. These are the functions of that registry
// which the `xla` crate calls (declared in xla/pjrt/pjrt_api.h), over a map of our own, and
// xla::GetCApiClient, which must look a plugin up in the same map. The linker script lists this library
// before XLA's, so these definitions are the ones that are used.
#include <dlfcn.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "xla/pjrt/c/pjrt_c_api.h"
#include "xla/pjrt/pjrt_api.h"
#include "xla/pjrt/pjrt_common.h"

namespace {

struct Plugin {
  const PJRT_Api* api = nullptr;
  bool initialized = false;
};

struct Registry {
  std::mutex mutex;
  std::map<std::string, Plugin> plugins;  // by device type, in lower case
};

Registry& registry() {
  static Registry* registry = new Registry;  // outlives every static destructor
  return *registry;
}

absl::Status NotLoaded(absl::string_view device_type) {
  return absl::NotFoundError(absl::StrCat("no PJRT plugin is loaded for ", device_type));
}

// Takes ownership of `error`; null is success.
absl::Status ToStatus(const PJRT_Api* api, PJRT_Error* error) {
  if (error == nullptr) return absl::OkStatus();
  PJRT_Error_Message_Args message = {};
  message.struct_size = PJRT_Error_Message_Args_STRUCT_SIZE;
  message.error = error;
  api->PJRT_Error_Message(&message);
  std::string text(message.message, message.message_size);
  PJRT_Error_Destroy_Args destroy = {};
  destroy.struct_size = PJRT_Error_Destroy_Args_STRUCT_SIZE;
  destroy.error = error;
  api->PJRT_Error_Destroy(&destroy);
  return absl::InternalError(text);
}

}  // namespace

namespace pjrt {

absl::StatusOr<const PJRT_Api*> PjrtApi(absl::string_view device_type) {
  Registry& r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  auto found = r.plugins.find(absl::AsciiStrToLower(device_type));
  if (found == r.plugins.end()) return NotLoaded(device_type);
  return found->second.api;
}

absl::StatusOr<const PJRT_Api*> LoadPjrtPlugin(absl::string_view device_type,
                                               absl::string_view library_path) {
  std::string path(library_path);
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return absl::NotFoundError(absl::StrCat("cannot load the plugin: ", dlerror()));
  }
  auto get_api = reinterpret_cast<const PJRT_Api* (*)()>(dlsym(library, "GetPjrtApi"));
  if (get_api == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is not a PJRT plugin: it does not export GetPjrtApi"));
  }
  const PJRT_Api* api = get_api();
  if (api == nullptr) {
    return absl::InternalError(absl::StrCat("GetPjrtApi of ", path, " returned nothing"));
  }
  // A newer plugin keeps what an older one had. In an older one functions are missing at the end of the table, and
  // XLA calls them without asking.
  const PJRT_Api_Version& version = api->pjrt_api_version;
  if (version.major_version != PJRT_API_MAJOR || api->struct_size < PJRT_Api_STRUCT_SIZE) {
    return absl::InvalidArgumentError(absl::StrCat(
        "Mismatched PJRT plugin PJRT API version (", version.major_version, ".", version.minor_version,
        ") and framework PJRT API version ", PJRT_API_MAJOR, ".", PJRT_API_MINOR));
  }
  Registry& r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  r.plugins[absl::AsciiStrToLower(device_type)] = Plugin{api, false};
  return api;
}

absl::StatusOr<bool> IsPjrtPluginInitialized(absl::string_view device_type) {
  Registry& r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  auto found = r.plugins.find(absl::AsciiStrToLower(device_type));
  if (found == r.plugins.end()) return NotLoaded(device_type);
  return found->second.initialized;
}

absl::Status InitializePjrtPlugin(absl::string_view device_type) {
  Registry& r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  auto found = r.plugins.find(absl::AsciiStrToLower(device_type));
  if (found == r.plugins.end()) return NotLoaded(device_type);
  PJRT_Plugin_Initialize_Args args = {};
  args.struct_size = PJRT_Plugin_Initialize_Args_STRUCT_SIZE;
  const PJRT_Api* api = found->second.api;
  absl::Status status = ToStatus(api, api->PJRT_Plugin_Initialize(&args));
  found->second.initialized = status.ok();
  return status;
}

}  // namespace pjrt

namespace xla {

// Declared here rather than included: pjrt_c_api_client.h brings in most of XLA, and a minute of compiling.
// The two functions return an absl::StatusOr<std::unique_ptr<PjRtClient>>. Like every class with a destructor
// it is returned through a hidden pointer, and its type is no part of a function's symbol, so this opaque class
// can stand for it where the value is only handed on.
class Client {
 public:
  ~Client();
};
class KeyValueStoreInterface;
using CreateOptions = absl::flat_hash_map<std::string, PjRtValueType>;

Client WrapClientAroundCApi(const PJRT_Api* api, const CreateOptions& options,
                            std::shared_ptr<KeyValueStoreInterface> kv_store);

// The crate asks for a client only of a plugin that it has loaded before, so the look-up does not fail.
Client GetCApiClient(absl::string_view device_type, const CreateOptions& options,
                     std::shared_ptr<KeyValueStoreInterface> kv_store) {
  return WrapClientAroundCApi(pjrt::PjrtApi(device_type).value(), options, std::move(kv_store));
}

}  // namespace xla
