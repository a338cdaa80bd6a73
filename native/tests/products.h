// Matrices and activations to multiply in tests.
#pragma once

#include <memory>

#include "check.h"
#include "multiply.h"
#include "numbers.h"
#include "weights.h"

namespace quipu {

struct Aligned {
  explicit Aligned(size_t size) : bytes(size + 64) {}
  void* data() {
    void* at = bytes.data();
    size_t space = bytes.size();
    return std::align(64, bytes.size() - 64, at, space);
  }
  std::vector<uint8_t> bytes;
};

struct Case {
  Case(Format format, int32_t outputs, int32_t inputs)
      : values(value_bytes(format, outputs, inputs)),
        scales(scale_bytes(format, outputs, inputs)),
        weights(static_cast<size_t>(outputs) * static_cast<size_t>(inputs)) {
    Random random(static_cast<uint64_t>(outputs) * 7919 + static_cast<uint64_t>(inputs));
    const std::vector<float> plain = random.bells(weights.size());
    auto* packed_scales = static_cast<uint16_t*>(scales.data());
    matrix = {format, outputs, inputs, static_cast<uint8_t*>(values.data()), packed_scales};
    if (format == Format::fp32)
      fill_fp32(plain);
    else if (format == Format::bf16)
      fill_bf16(plain);
    else
      fill_integers(plain, packed_scales);
  }

  void fill_fp32(const std::vector<float>& plain) {
    weights = plain;
    pack_fp32(plain.data(), matrix.outputs, matrix.inputs, static_cast<uint8_t*>(values.data()));
  }

  void fill_bf16(const std::vector<float>& plain) {
    std::vector<uint16_t> words(plain.size());
    for (size_t i = 0; i < plain.size(); ++i) {
      words[i] = bf16_of_float(plain[i]);
      weights[i] = float_of_bf16(words[i]);
    }
    pack_bf16(words.data(), matrix.outputs, matrix.inputs, static_cast<uint8_t*>(values.data()));
  }

  void fill_integers(const std::vector<float>& plain, uint16_t* packed_scales) {
    std::vector<int8_t> integers(plain.size());
    std::vector<uint16_t> loose(plain.size() / group_inputs);
    quantise(matrix.format, plain.data(), matrix.outputs, matrix.inputs, integers.data(),
             loose.data());
    for (size_t i = 0; i < plain.size(); ++i)
      weights[i] = static_cast<float>(integers[i]) * float_of_fp16(loose[i / group_inputs]);
    pack_integers(matrix.format, integers.data(), loose.data(), matrix.outputs, matrix.inputs,
                  static_cast<uint8_t*>(values.data()), packed_scales);
  }

  std::vector<double> reference(const std::vector<float>& x) const {
    const size_t inputs = static_cast<size_t>(matrix.inputs), rows = x.size() / inputs;
    std::vector<double> out;
    for (size_t row = 0; row < rows; ++row) {
      for (size_t o = 0; o < static_cast<size_t>(matrix.outputs); ++o) {
        double sum = 0;
        for (size_t i = 0; i < inputs; ++i)
          sum += double{x[row * inputs + i]} * double{weights[o * inputs + i]};
        out.push_back(sum);
      }
    }
    return out;
  }

  Aligned values, scales;
  std::vector<float> weights;  // [O, I], what the packed form stands for
  Matrix matrix{};
};

struct Rows {
  Rows(const Kernels& kernels, Threads& threads, Formats formats, const std::vector<float>& source,
       int32_t inputs)
      : x(source),
        rows(static_cast<int32_t>(x.size() / static_cast<size_t>(inputs))),
        scratch(activation_bytes(rows, inputs)),
        activations(lay_out(x.data(), rows, inputs, scratch.data())) {
    CHECK(prepare(kernels, threads, formats, activations) == ok);
  }
  std::vector<float> x;
  int32_t rows;
  Aligned scratch;
  Activations activations;
};

constexpr Formats every_format = 15;

inline std::vector<float> product(const Kernels& kernels, Threads& threads, const Case& at,
                           const std::vector<float>& x) {
  Rows rows(kernels, threads, set_of(at.matrix.format), x, at.matrix.inputs);
  const size_t size = static_cast<size_t>(rows.rows) * static_cast<size_t>(at.matrix.outputs);
  std::vector<float> y(size, NAN);
  const Product one = {at.matrix, y.data(), at.matrix.outputs, false};
  CHECK(multiply(kernels, threads, rows.activations, &one, 1) == ok);
  return y;
}

}  // namespace quipu
