// TensorFlow's C API as found in the libtensorflow that tfjs-node has loaded: no header of TensorFlow and no link against it, so one build of ours
// works with every version that exports these names (2.9 and later). Handles are void*; codes and dtypes are the C API's plain numbers.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace tfl {

struct TfApi {
  void* (*NewStatus)();
  void (*DeleteStatus)(void*);
  int (*GetCode)(const void*);
  const char* (*Message)(const void*);
  void (*SetStatus)(void*, int, const char*);

  void* (*NewOpDefinitionBuilder)(const char*);
  void (*OpDefinitionBuilderAddInput)(void*, const char*);
  void (*OpDefinitionBuilderAddOutput)(void*, const char*);
  void (*OpDefinitionBuilderAddAttr)(void*, const char*);
  void (*OpDefinitionBuilderSetShapeInferenceFunction)(void*, void (*)(void*, void*));
  void (*RegisterOpDefinition)(void*, void*);
  void (*ShapeInferenceContextSetUnknownShape)(void*, void*);

  void* (*NewKernelBuilder)(const char*, const char*, void* (*)(void*), void (*)(void*, void*), void (*)(void*));
  void (*RegisterKernelBuilder)(const char*, void*, void*);
  void (*OpKernelConstruction_GetAttrInt32List)(void*, const char*, int32_t*, int, void*);
  void (*OpKernelConstruction_GetAttrFloatList)(void*, const char*, float*, int, void*);
  void (*OpKernelConstruction_GetAttrSize)(void*, const char*, int32_t*, int32_t*, void*);
  void (*OpKernelConstruction_Failure)(void*, void*);

  void (*GetInput)(void*, int, void**, void*);
  void* (*AllocateOutput)(void*, int, int, const int64_t*, int, size_t, void*);
  void (*OpKernelContext_Failure)(void*, void*);
  int (*NumDims)(const void*);
  int64_t (*Dim)(const void*, int);
  void* (*TensorData)(const void*);
  void (*DeleteTensor)(void*);
};

extern TfApi tf;

constexpr int kTfFloat = 1, kTfInt32 = 3;
constexpr int kTfInvalidArgument = 3;

// Fills `tf` from the library `binding` (tfjs_binding.node, loaded already) depends on. Returns what is missing, or "".
std::string find_tensorflow(const char* binding);

struct Status {
  void* handle = tf.NewStatus();
  Status() = default;
  Status(const Status&) = delete;
  ~Status() { tf.DeleteStatus(handle); }
  bool ok() const { return tf.GetCode(handle) == 0; }
  std::string message() const { return tf.Message(handle); }
};

// Tells TensorFlow that a call's arguments do not fit.
void fail(void* context, const std::string& why);

// Attribute lists of a kernel under construction. `status` keeps the first failure; a list of another length than `count` is one.
void read_list(void* construction, const char* name, int32_t* out, int count, const Status& status);
void read_list(void* construction, const char* name, float* out, int count, const Status& status);
// Its length.
int list_size(void* construction, const char* name, const Status& status);

// An input of an op, for the time of its computation.
class Input {
 public:
  Input(void* context, int i, const Status& status) { tf.GetInput(context, i, &tensor_, status.handle); }
  Input(const Input&) = delete;
  ~Input() {
    if (tensor_) tf.DeleteTensor(tensor_);
  }
  template <class T> const T* data() const { return static_cast<const T*>(tf.TensorData(tensor_)); }
  int rank() const { return tf.NumDims(tensor_); }
  int64_t dim(int i) const { return tf.Dim(tensor_, i); }

 private:
  void* tensor_ = nullptr;
};

// An output of an op, 4 bytes an element.
class Output {
 public:
  Output(void* context, int i, int dtype, std::initializer_list<int64_t> dims, const Status& status) {
    size_t bytes = 4;
    for (int64_t d : dims) bytes *= size_t(d);
    tensor_ = tf.AllocateOutput(context, i, dtype, dims.begin(), int(dims.size()), bytes, status.handle);
  }
  Output(const Output&) = delete;
  ~Output() {
    if (tensor_) tf.DeleteTensor(tensor_);
  }
  template <class T = float> T* data() const { return static_cast<T*>(tf.TensorData(tensor_)); }

 private:
  void* tensor_;
};

}  // namespace tfl
