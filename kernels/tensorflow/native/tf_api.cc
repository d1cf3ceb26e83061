#include "tf_api.h"

#include <dlfcn.h>

namespace tfl {

TfApi tf;

std::string find_tensorflow(const char* binding) {
  // A symbol is looked up in the binding and everything it was linked with, so the library's own name does not matter.
  void* library = dlopen(binding, RTLD_LAZY | RTLD_NOLOAD);
  if (!library) return std::string(binding) + " is not loaded";
  std::string missing;
  auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library, name));
    if (!function) missing += std::string(missing.empty() ? "TensorFlow lacks " : ", ") + name;
  };
#define TFL_FIND(name) find(tf.name, "TF_" #name)
  TFL_FIND(NewStatus);
  TFL_FIND(DeleteStatus);
  TFL_FIND(GetCode);
  TFL_FIND(Message);
  TFL_FIND(SetStatus);
  TFL_FIND(NewOpDefinitionBuilder);
  TFL_FIND(OpDefinitionBuilderAddInput);
  TFL_FIND(OpDefinitionBuilderAddOutput);
  TFL_FIND(OpDefinitionBuilderAddAttr);
  TFL_FIND(OpDefinitionBuilderSetShapeInferenceFunction);
  TFL_FIND(RegisterOpDefinition);
  TFL_FIND(ShapeInferenceContextSetUnknownShape);
  TFL_FIND(NewKernelBuilder);
  TFL_FIND(RegisterKernelBuilder);
  TFL_FIND(OpKernelConstruction_GetAttrInt32List);
  TFL_FIND(OpKernelConstruction_GetAttrFloatList);
  TFL_FIND(OpKernelConstruction_GetAttrSize);
  TFL_FIND(OpKernelConstruction_Failure);
  TFL_FIND(GetInput);
  TFL_FIND(AllocateOutput);
  TFL_FIND(OpKernelContext_Failure);
  TFL_FIND(NumDims);
  TFL_FIND(Dim);
  TFL_FIND(TensorData);
  TFL_FIND(DeleteTensor);
#undef TFL_FIND
  return missing;
}

void fail(void* context, const std::string& why) {
  Status status;
  tf.SetStatus(status.handle, kTfInvalidArgument, why.c_str());
  tf.OpKernelContext_Failure(context, status.handle);
}

int list_size(void* construction, const char* name, const Status& status) {
  int32_t size = 0, unused = 0;
  if (status.ok()) tf.OpKernelConstruction_GetAttrSize(construction, name, &size, &unused, status.handle);
  return size;
}

namespace {

bool has_size(void* construction, const char* name, int count, const Status& status) {
  const int size = list_size(construction, name, status);
  if (!status.ok()) return false;
  if (size == count) return true;
  const char* why = "the add-on was built for another version of this package: run 'npm run build:native'";
  tf.SetStatus(status.handle, kTfInvalidArgument, why);
  return false;
}

}  // namespace

void read_list(void* construction, const char* name, int32_t* out, int count, const Status& status) {
  if (has_size(construction, name, count, status)) tf.OpKernelConstruction_GetAttrInt32List(construction, name, out, count, status.handle);
}

void read_list(void* construction, const char* name, float* out, int count, const Status& status) {
  if (has_size(construction, name, count, status)) tf.OpKernelConstruction_GetAttrFloatList(construction, name, out, count, status.handle);
}

}  // namespace tfl
