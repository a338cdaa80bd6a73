// The module quipu.native._runtime.
#include <nanobind/nanobind.h>

#include "isa.h"

namespace nb = nanobind;

NB_MODULE(_runtime, module) {
  module.def("detected_isa", [] { return quipu::isa_name(quipu::detect_isa()); });
}
