// XLA's wheel keeps its registry of PJRT plugins private. These are the functions of that registry
// which the `xla` crate calls (declared in xla/pjrt/pjrt_api.h), over a map of our own, and
// xla::GetCApiClient, which must look a plugin up in the same map. The linker script lists this library
// before XLA's, so these definitions are the ones that are used.
//
// XLA reads its settings from XLA_FLAGS, once for a process, and each copy of XLA in a process reads them for itself. A
// compilation can also be given single settings by name, which leaves all others as the plugin has them, but the `xla`
// crate has no function for it. They are added on the way to the plugin. So is the store through which the clients of
// several processes find each other.
#include <dlfcn.h>

#include <array>
#include <cstddef>
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

namespace xla {
class KeyValueStoreInterface;
}

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

// Fields of a CompileOptionsProto, written down, which the compilations of this thread have besides the crate's.
thread_local std::string options;

// The key-value store for the clients that this thread opens; null if they belong to a single process.
thread_local std::shared_ptr<xla::KeyValueStoreInterface> store;

// The plugins that were loaded, and the tables that XLA is given in their place: the same but for the function that
// compiles. A table's function is given nothing by which it could know its plugin, so each has one of its own.
constexpr size_t kMost = 8;
const PJRT_Api* plugins[kMost];
PJRT_Api tables[kMost];
size_t loaded = 0;

template <size_t I>
PJRT_Error* Compile(PJRT_Client_Compile_Args* args) {
  if (options.empty()) return plugins[I]->PJRT_Client_Compile(args);
  PJRT_Client_Compile_Args with = *args;
  std::string all(args->compile_options, args->compile_options_size);
  all += options;
  with.compile_options = all.data();
  with.compile_options_size = all.size();
  PJRT_Error* error = plugins[I]->PJRT_Client_Compile(&with);
  args->executable = with.executable;
  return error;
}

template <size_t... I>
constexpr std::array<PJRT_Client_Compile*, sizeof...(I)> Compilers(std::index_sequence<I...>) {
  return {Compile<I>...};
}
constexpr auto compilers = Compilers(std::make_index_sequence<kMost>());

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

// For the compilations of this thread by plugins, until it is called again.
extern "C" void xla_glue_compile_with(const char* fields, size_t size) { options.assign(fields, size); }

// For the clients of plugins that this thread opens, until it is called again: a shared pointer, which is copied, or null.
extern "C" void xla_glue_open_with(const void* shared) {
  store = shared == nullptr ? nullptr : *static_cast<const std::shared_ptr<xla::KeyValueStoreInterface>*>(shared);
}

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
  size_t known = 0;
  while (known < loaded && plugins[known] != api) ++known;
  if (known == kMost) return absl::ResourceExhaustedError(absl::StrCat("more than ", kMost, " plugins"));
  if (known == loaded) {
    plugins[known] = api;
    tables[known] = *api;
    tables[known].struct_size = PJRT_Api_STRUCT_SIZE;
    tables[known].PJRT_Client_Compile = compilers[known];
    ++loaded;
  }
  r.plugins[absl::AsciiStrToLower(device_type)] = Plugin{&tables[known], false};
  return &tables[known];
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
using CreateOptions = absl::flat_hash_map<std::string, PjRtValueType>;

Client WrapClientAroundCApi(const PJRT_Api* api, const CreateOptions& options,
                            std::shared_ptr<KeyValueStoreInterface> kv_store);

// The crate asks for a client only of a plugin that it has loaded before, so the look-up does not fail.
Client GetCApiClient(absl::string_view device_type, const CreateOptions& options,
                     std::shared_ptr<KeyValueStoreInterface> kv_store) {
  if (kv_store == nullptr) kv_store = store;
  return WrapClientAroundCApi(pjrt::PjrtApi(device_type).value(), options, std::move(kv_store));
}

}  // namespace xla
