// Our TensorFlow ops. The layout and what else a kernel needs of a call come as attributes, so TensorFlow keeps one kernel for each.
#pragma once
#include <string>
#include <vector>

#include "layout.h"

namespace tfl {

// Instruction sets that this processor has, best first.
std::vector<const Isa*> instruction_sets();

// The one at a place of that list, the last one past it.
const Isa* instruction_set(int place);

// Registers ops and kernels once a process. Returns what went wrong, or "".
std::string register_ops();

}  // namespace tfl
