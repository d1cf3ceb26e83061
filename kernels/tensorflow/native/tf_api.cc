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

}  // namespace tfl
