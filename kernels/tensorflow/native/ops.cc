#include "ops.h"

#include <algorithm>

#include "kernels.h"
#include "tf_api.h"

namespace tfl {
namespace {

struct OpSpec {
  const char* name;
  std::vector<const char*> inputs, outputs, attributes;
  void* (*create)(void*);
  void (*compute)(void*, void*);
  void (*destroy)(void*);
};

const std::vector<OpSpec>& ops() {
  const std::vector<const char*> of_weight = {"call: list(int)", "layout: list(int)", "table: list(float)"};
  static const std::vector<OpSpec> list = {
      {"TfjsLinearQuantizedMatMul", {"x: float", "words: int32", "bias: float"}, {"y: float"}, of_weight,
       create_product, compute_product, destroy_product},
      {"TfjsLinearUnpackWeight", {"words: int32", "rows: int32"}, {"y: float"}, of_weight, create_unpack, compute_unpack, destroy_unpack},
      {"TfjsLinearFp8Quantize", {"x: float", "scale: float"}, {"out: type", "scales: float"},
       {"type: type", "call: list(int)", "numbers: list(float)"}, create_quantize, compute_quantize, destroy_quantize},
      {"TfjsLinearGatedActivation", {"x: float"}, {"y: float"}, {"call: list(int)"}, create_gated, compute_gated, destroy_fused},
      {"TfjsLinearRmsNorm", {"x: float", "weight: float"}, {"y: float"}, {"numbers: list(float)"}, create_rms_norm, compute_rms_norm, destroy_fused},
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
  for (const char* output : op.outputs) tf.OpDefinitionBuilderAddOutput(definition, output);
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

const Isa* instruction_set(int place) {
  static const std::vector<const Isa*> sets = instruction_sets();
  return sets[std::min(size_t(place), sets.size() - 1)];
}

std::string register_ops() {
  for (const OpSpec& op : ops()) {
    const std::string wrong = register_op(op);
    if (!wrong.empty()) return std::string(op.name) + ": " + wrong;
  }
  return "";
}

}  // namespace tfl
