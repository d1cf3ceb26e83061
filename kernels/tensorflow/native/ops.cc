#include "ops.h"

#include "kernels.h"
#include "tf_api.h"

namespace tfl {
namespace {

struct OpSpec {
  const char* name;
  std::vector<const char*> inputs, attributes;
  void* (*create)(void*);
  void (*compute)(void*, void*);
  void (*destroy)(void*);
};

const std::vector<const char*> kAttributes = {"call: list(int)", "layout: list(int)", "table: list(float)"};

const std::vector<OpSpec>& ops() {
  static const std::vector<OpSpec> list = {
      {"TfjsLinearQuantizedMatMul", {"x: float", "words: int32", "bias: float"}, kAttributes, create_product, compute_product, destroy_product},
      {"TfjsLinearUnpackWeight", {"words: int32", "rows: int32"}, kAttributes, create_unpack, compute_unpack, destroy_unpack},
  };
  return list;
}

// Eager execution needs no shapes ahead of time.
void unknown_shape(void* context, void* status) { tf.ShapeInferenceContextSetUnknownShape(context, status); }

std::string register_op(const OpSpec& op) {
  Status status;
  void* definition = tf.NewOpDefinitionBuilder(op.name);
  for (const char* attribute : op.attributes) tf.OpDefinitionBuilderAddAttr(definition, attribute);
  for (const char* input : op.inputs) tf.OpDefinitionBuilderAddInput(definition, input);
  tf.OpDefinitionBuilderAddOutput(definition, "y: float");
  tf.OpDefinitionBuilderSetShapeInferenceFunction(definition, unknown_shape);
  tf.RegisterOpDefinition(definition, status.handle);  // takes the definition
  if (!status.ok()) return status.message();
  tf.RegisterKernelBuilder(op.name, tf.NewKernelBuilder(op.name, "CPU", op.create, op.compute, op.destroy), status.handle);
  return status.ok() ? "" : status.message();
}

}  // namespace

std::vector<const Isa*> instruction_sets() {
  std::vector<const Isa*> all = {
#if defined(__x86_64__)
      &kAvx512Vnni, &kAvx512, &kAvx2,
#endif
      &kPortable};
  std::vector<const Isa*> here;
  for (const Isa* isa : all) {
    if (isa->supported()) here.push_back(isa);
  }
  return here;
}

std::string register_ops() {
  for (const OpSpec& op : ops()) {
    const std::string wrong = register_op(op);
    if (!wrong.empty()) return std::string(op.name) + ": " + wrong;
  }
  return "";
}

}  // namespace tfl
