#include "weights.h"

#include <cmath>
#include <cstring>

#include "numbers.h"

namespace quipu {
namespace {

size_t panels(int32_t outputs) {
  return (static_cast<size_t>(outputs) + panel_outputs - 1) / panel_outputs;
}

// Place of [output, input] in units of the format: words of 32 or 16 bits, bytes, shared bytes.
size_t place(Format format, int32_t output, int32_t input, int32_t inputs) {
  const size_t panel = static_cast<size_t>(output / panel_outputs);
  const size_t lane = static_cast<size_t>(output % panel_outputs);
  const size_t i = static_cast<size_t>(input), all = static_cast<size_t>(inputs);
  if (format == Format::fp32) return panel * all * 16 + i * 16 + lane;
  if (format == Format::bf16) return panel * all * 16 + i / 2 * 32 + lane * 2 + i % 2;
  if (format == Format::int8) return panel * all * 16 + i / 4 * 64 + lane * 4 + i % 4;
  return panel * all * 8 + i / 32 * 256 + i % 16 / 4 * 64 + lane * 4 + i % 4;
}

bool has_scales(Format format) { return format == Format::int8 || format == Format::int4; }

bool in_high_half(int32_t input) { return input % 32 >= 16; }

size_t scale_place(int32_t output, int32_t input, int32_t inputs) {
  const size_t groups = static_cast<size_t>(inputs / group_inputs);
  const size_t panel = static_cast<size_t>(output / panel_outputs);
  return (panel * groups + static_cast<size_t>(input / group_inputs)) * panel_outputs +
         static_cast<size_t>(output % panel_outputs);
}

// The signed value that a group's scale maps onto the end of the range.
float group_scale(Format format, const float* group) {
  float extreme = 0;
  for (int i = 0; i < group_inputs; ++i)
    if (std::fabs(group[i]) > std::fabs(extreme)) extreme = group[i];
  return format == Format::int8 ? std::fabs(extreme) / 127 : extreme / -8;
}

int8_t rounded(Format format, float x, float scale) {
  if (scale == 0) return 0;
  const float low = format == Format::int8 ? -127.0f : -8.0f;
  const float high = format == Format::int8 ? 127.0f : 7.0f;
  return static_cast<int8_t>(std::fmin(std::fmax(std::nearbyint(x / scale), low), high));
}

}  // namespace

size_t value_bytes(Format format, int32_t outputs, int32_t inputs) {
  const size_t weights = panels(outputs) * panel_outputs * static_cast<size_t>(inputs);
  switch (format) {
    case Format::fp32: return weights * 4;
    case Format::bf16: return weights * 2;
    case Format::int8: return weights;
    case Format::int4: break;
  }
  return weights / 2;
}

size_t scale_bytes(Format format, int32_t outputs, int32_t inputs) {
  if (!has_scales(format)) return 0;
  return panels(outputs) * panel_outputs * static_cast<size_t>(inputs / group_inputs) * 2;
}

void pack_fp32(const float* weights, int32_t outputs, int32_t inputs, uint8_t* values) {
  std::memset(values, 0, value_bytes(Format::fp32, outputs, inputs));
  for (int32_t o = 0; o < outputs; ++o)
    for (int32_t i = 0; i < inputs; ++i)
      std::memcpy(values + 4 * place(Format::fp32, o, i, inputs), weights++, 4);
}

void pack_bf16(const uint16_t* weights, int32_t outputs, int32_t inputs, uint8_t* values) {
  std::memset(values, 0, value_bytes(Format::bf16, outputs, inputs));
  for (int32_t o = 0; o < outputs; ++o)
    for (int32_t i = 0; i < inputs; ++i)
      std::memcpy(values + 2 * place(Format::bf16, o, i, inputs), weights++, 2);
}

void pack_integers(Format format, const int8_t* weights, const uint16_t* scales, int32_t outputs,
                   int32_t inputs, uint8_t* packed_values, uint16_t* packed_scales) {
  const bool wide = format == Format::int8;
  std::memset(packed_values, wide ? 128 : 0x88, value_bytes(format, outputs, inputs));
  std::memset(packed_scales, 0, scale_bytes(format, outputs, inputs));
  for (int32_t o = 0; o < outputs; ++o) {
    for (int32_t i = 0; i < inputs; ++i) {
      uint8_t& byte = packed_values[place(format, o, i, inputs)];
      const int value = *weights++;
      if (wide)
        byte = static_cast<uint8_t>(value + 128);
      else if (in_high_half(i))
        byte = static_cast<uint8_t>((byte & 0x0f) | (value + 8) << 4);
      else
        byte = static_cast<uint8_t>((byte & 0xf0) | (value + 8));
      if (i % group_inputs == 0) packed_scales[scale_place(o, i, inputs)] = *scales++;
    }
  }
}

void quantise(Format format, const float* weights, int32_t outputs, int32_t inputs,
              int8_t* integers, uint16_t* scales) {
  const int64_t groups = int64_t{outputs} * (inputs / group_inputs);
  for (int64_t g = 0; g < groups; ++g, weights += group_inputs) {
    scales[g] = fp16_of_float(group_scale(format, weights));
    const float scale = float_of_fp16(scales[g]);
    for (int i = 0; i < group_inputs; ++i) *integers++ = rounded(format, weights[i], scale);
  }
}

float weight_at(const Matrix& matrix, int32_t output, int32_t input) {
  const size_t at = place(matrix.format, output, input, matrix.inputs);
  if (matrix.format == Format::fp32) {
    float weight;
    std::memcpy(&weight, matrix.values + 4 * at, 4);
    return weight;
  }
  if (matrix.format == Format::bf16) {
    uint16_t word;
    std::memcpy(&word, matrix.values + 2 * at, 2);
    return float_of_bf16(word);
  }
  const float scale = float_of_fp16(matrix.scales[scale_place(output, input, matrix.inputs)]);
  const int byte = matrix.values[at];
  if (matrix.format == Format::int8) return scale * static_cast<float>(byte - 128);
  return scale * static_cast<float>((in_high_half(input) ? byte >> 4 : byte & 15) - 8);
}

void unpack_row(const Matrix& matrix, int32_t output, float* out) {
  const int32_t inputs = matrix.inputs;
  if (!has_scales(matrix.format)) {
    for (int32_t i = 0; i < inputs; ++i) out[i] = weight_at(matrix, output, i);
    return;
  }
  const bool wide = matrix.format == Format::int8;
  for (int32_t i = 0; i < inputs; i += 4, out += 4) {
    const float scale = float_of_fp16(matrix.scales[scale_place(output, i, inputs)]);
    const uint8_t* quad = matrix.values + place(matrix.format, output, i, inputs);
    const int shift = !wide && in_high_half(i) ? 4 : 0, mask = wide ? 255 : 15;
    const int offset = wide ? 128 : 8;
    for (int k = 0; k < 4; ++k)
      out[k] = scale * static_cast<float>((quad[k] >> shift & mask) - offset);
  }
}

}  // namespace quipu
