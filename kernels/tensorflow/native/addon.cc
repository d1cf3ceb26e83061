// The add-on as Node loads it.
//   register(path of tfjs_binding.node) -> names of the instruction sets of this processor, best first. Throws where the ops cannot be registered.
//   threads(count?) -> threads a call uses, after setting them where a count is given.
#include <node_api.h>

#include <mutex>

#include "ops.h"
#include "tf_api.h"
#include "threads.h"

namespace {

// Registration happens once a process; worker threads of Node share it.
std::string register_once(const char* binding) {
  static std::mutex mutex;
  static bool done = false;
  const std::lock_guard<std::mutex> lock(mutex);
  if (done) return "";
  std::string wrong = tfl::find_tensorflow(binding);
  if (wrong.empty()) wrong = tfl::register_ops();
  done = wrong.empty();
  return wrong;
}

napi_value Register(napi_env env, napi_callback_info info) {
  size_t argc = 1, length = 0;
  napi_value argument, result;
  napi_get_cb_info(env, info, &argc, &argument, nullptr, nullptr);
  if (argc < 1 || napi_get_value_string_utf8(env, argument, nullptr, 0, &length) != napi_ok) {
    napi_throw_type_error(env, nullptr, "register: expected a path");
    return nullptr;
  }
  std::string path(length, '\0');
  napi_get_value_string_utf8(env, argument, &path[0], length + 1, &length);
  const std::string wrong = register_once(path.c_str());
  if (!wrong.empty()) {
    napi_throw_error(env, nullptr, wrong.c_str());
    return nullptr;
  }
  napi_create_array(env, &result);
  uint32_t at = 0;
  for (const tfl::Isa* isa : tfl::instruction_sets()) {
    napi_value name;
    napi_create_string_utf8(env, isa->name, NAPI_AUTO_LENGTH, &name);
    napi_set_element(env, result, at++, name);
  }
  return result;
}

napi_value Threads(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argument, result;
  int32_t count = 0;
  napi_get_cb_info(env, info, &argc, &argument, nullptr, nullptr);
  if (argc > 0 && napi_get_value_int32(env, argument, &count) == napi_ok) tfl::set_thread_count(count);
  napi_create_int32(env, tfl::thread_count(), &result);
  return result;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "register", NAPI_AUTO_LENGTH, Register, nullptr, &function);
  napi_set_named_property(env, exports, "register", function);
  napi_create_function(env, "threads", NAPI_AUTO_LENGTH, Threads, nullptr, &function);
  napi_set_named_property(env, exports, "threads", function);
  return exports;
}
