// Kernels for AVX-512 F, BW, VL, DQ, VNNI and BF16. Compiled with flags of its own; includes
// nothing whose inline functions the linker might share with baseline code.
#include <immintrin.h>

#include "lanes_avx512.h"

#include "avx512_products.h"

#include "vector_rows.h"

#include "vector_attend.h"

namespace quipu {
namespace {

void prepare(const Activations& x, Formats formats, int32_t first, int32_t last) {
  for (int32_t row = first; row < last; ++row) {
    if ((formats & with_scales) != 0) quantise_row(x, row);
    if ((formats & bf16_alone) == 0) continue;
    const float* from = x.x + int64_t{row} * x.inputs;
    uint16_t* to = x.bf16 + int64_t{row} * x.inputs;
    for (int32_t i = 0; i < x.inputs; i += 16)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i),
                          (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(from + i)));
  }
}

}  // namespace

extern const Kernels avx512_kernels;
const Kernels avx512_kernels = {Isa::avx512, prepare, multiply, rms_norm, rotate,
                                silu_mul,    attend,  argmax};

}  // namespace quipu
