// The code above the tile registers, on tiles in software: against AVX-512 and double precision.
#include <cstring>

#include "products.h"

namespace quipu {
extern const Kernels software_tile_kernels;
}

using namespace quipu;

namespace {

// Sums in fp32 of even and odd products apart, subnormals flushed.
constexpr double bf16_sums = 4e-6;

void integers_equal_avx512(Format format, int32_t outputs, int32_t inputs, size_t rows) {
  const Case at(format, outputs, inputs);
  Threads threads(2);
  const std::vector<float> x = Random(rows).bells(rows * static_cast<size_t>(inputs));
  CHECK(product(software_tile_kernels, threads, at, x) ==
        product(kernels_of(Isa::avx512), threads, at, x));
}

void bf16_matches_double_precision(int32_t outputs, int32_t inputs, size_t rows) {
  const Case at(Format::bf16, outputs, inputs);
  Threads threads(2);
  std::vector<float> x = Random(rows).bells(rows * static_cast<size_t>(inputs));
  for (float& value : x) value = float_of_bf16(bf16_of_float(value));
  check_close("bf16 tiles", "amx", product(software_tile_kernels, threads, at, x),
              at.reference(x), bf16_sums);
}

void rows_do_not_depend_on_other_rows(Format format) {
  constexpr size_t rows = 50, width = 96, height = 40;
  const Case at(format, height, width);
  Threads one(1), three(3);
  const std::vector<float> x = Random(5).bells(rows * width);
  const std::vector<float> all = product(software_tile_kernels, one, at, x);
  CHECK(product(software_tile_kernels, three, at, x) == all);
  for (const size_t count : {1, 2, 9, 16, 17, 33}) {
    const size_t first = rows - count;
    const std::vector<float> some(x.begin() + static_cast<long>(first * width), x.end());
    const std::vector<float> few = product(software_tile_kernels, three, at, some);
    CHECK(std::memcmp(few.data(), &all[first * height], count * height * sizeof(float)) == 0);
  }
}

}  // namespace

int main() {
  if (detect_isa() < Isa::avx512) {
    std::printf("skipped: this machine lacks avx512\n");
    return 0;
  }
  for (const Format format : {Format::fp32, Format::bf16, Format::int8, Format::int4}) {
    rows_do_not_depend_on_other_rows(format);
    if (format == Format::bf16) continue;
    for (const size_t rows : {1, 9, 16, 31, 130}) integers_equal_avx512(format, 40, 96, rows);
    integers_equal_avx512(format, 17, 2112, 20);
    integers_equal_avx512(format, 16, 32, 15);
  }
  for (const size_t rows : {1, 16, 20, 70}) bf16_matches_double_precision(40, 160, rows);
  return verdict();
}
