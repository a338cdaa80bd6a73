// Packed weight matrices: one layout for every instruction set, so that files can be memory-mapped.
//
// Outputs are lanes. A panel of 16 outputs runs through all inputs; four neighbouring inputs of one
// output make the 32-bit word that byte dot-product instructions consume (two for bf16), and the 16
// words of a register belong to 16 outputs. Products therefore need no sum across lanes, and sums
// over inputs run in one order for any number of rows. Outputs that are not there are zeros.
//
// fp32 has a word for each input.
// int8: stored as value + 128, a byte without sign; one fp16 scale per output and group of 32.
// int4: symmetric, stored as value + 8, value in -8..7, same scales: GGUF's q4_0 repacks exactly,
//   and a weight costs 4.5 bits where a minimum would make it 5, which is what decoding waits for;
//   the accuracy that a minimum buys is left to a quantiser fitted to data. The low half of byte
//   [b, g, r, o, i] holds input 4 r + i of the group, the high half input 16 + 4 r + i.
#pragma once

#include <cstddef>

#include "kernels.h"

namespace quipu {

// Bytes of `values` and of `scales` for a matrix [outputs, inputs].
size_t value_bytes(Format format, int32_t outputs, int32_t inputs);
size_t scale_bytes(Format format, int32_t outputs, int32_t inputs);

// Integers below are given and returned one a byte, [O, I] row by row; scales fp16 [O, G].
void pack_fp32(const float* weights, int32_t outputs, int32_t inputs, uint8_t* values);
void pack_bf16(const uint16_t* weights, int32_t outputs, int32_t inputs, uint8_t* values);
void pack_integers(Format format, const int8_t* weights, const uint16_t* scales, int32_t outputs,
                   int32_t inputs, uint8_t* packed_values, uint16_t* packed_scales);

// Plain rounding of fp32 weights [O, I]: the largest magnitude of a group becomes 127 (int8) or the
// end -8 of the range (int4, as in q4_0).
void quantise(Format format, const float* weights, int32_t outputs, int32_t inputs,
              int8_t* integers, uint16_t* scales);

// The weight at [output, input] as the kernels understand it.
float weight_at(const Matrix& matrix, int32_t output, int32_t input);

// out [I] = all weights of an output.
void unpack_row(const Matrix& matrix, int32_t output, float* out);

}  // namespace quipu
