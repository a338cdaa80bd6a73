// Products of every format and instruction set against double precision and against each other.
#include <cstring>

#include "products.h"

using namespace quipu;

namespace {

// fp32 sums of some thousand terms in any order.
constexpr double fp32_sums = 2e-6;
// Sums of bf16 products by dpbf16, which flushes subnormals and rounds once per pair.
constexpr double bf16_sums = 4e-6;
// Activations rounded to 8 bits in groups of 32: each off by at most 1/254 of its group's largest.
constexpr double activation_rounding = 6e-3;
// Activations rounded to bf16: 8 bits of mantissa.
constexpr double bf16_rounding = 3e-3;

// What the kernels see: activations after the rounding that the instruction set prescribes.
std::vector<float> as_seen(const Kernels& kernels, Format format, std::vector<float> x) {
  if (kernels.isa == Isa::portable || format == Format::fp32) return x;
  if (format == Format::bf16) {
    if (kernels.isa == Isa::avx2) return x;
    for (float& value : x) value = float_of_bf16(bf16_of_float(value));
    return x;
  }
  for (size_t g = 0; g < x.size(); g += group_inputs) {
    float largest = 0;
    for (size_t i = g; i < g + group_inputs; ++i) largest = std::fmax(largest, std::fabs(x[i]));
    for (size_t i = g; i < g + group_inputs && largest > 0; ++i)
      x[i] = std::nearbyint(x[i] * (127 / largest)) * (largest / 127);
  }
  return x;
}

void unpacking_returns_what_was_packed(Format format) {
  const Case at(format, 35, 96);
  for (int32_t o = 0; o < 35; ++o)
    for (int32_t i = 0; i < 96; ++i)
      CHECK(weight_at(at.matrix, o, i) == at.weights[static_cast<size_t>(o * 96 + i)]);
}

void products_match_double_precision(const Kernels& kernels, Format format, int32_t outputs,
                                     int32_t inputs, size_t rows) {
  const Case at(format, outputs, inputs);
  Threads threads(2);
  const std::vector<float> x = Random(rows).bells(rows * static_cast<size_t>(inputs));
  const std::vector<float> y = product(kernels, threads, at, x);
  const std::vector<double> exact = at.reference(as_seen(kernels, format, x));
  const bool bf16 = format == Format::bf16;
  check_close("product", isa_name(kernels.isa), y, exact, bf16 ? bf16_sums : fp32_sums);
  check_close("product with plain activations", isa_name(kernels.isa), y, at.reference(x),
              bf16 ? bf16_rounding : activation_rounding);
}

void rows_do_not_depend_on_other_rows(const Kernels& kernels, Format format) {
  const int32_t outputs = 83, inputs = 160;
  constexpr size_t width = 160, height = 83, rows = 21;
  const Case at(format, outputs, inputs);
  Threads one(1), three(3);
  const std::vector<float> x = Random(5).bells(rows * width);
  const std::vector<float> all = product(kernels, one, at, x);
  CHECK(product(kernels, three, at, x) == all);
  Threads many(5);  // more than pairs of panels: rows are cut too
  const Case narrow(format, 40, inputs);
  const std::vector<float> tall = Random(8).bells(100 * width);
  CHECK(product(kernels, many, narrow, tall) == product(kernels, one, narrow, tall));
  for (size_t count = 1; count <= 17; ++count) {
    const size_t first = rows - count - 2;
    const std::vector<float> some(x.begin() + static_cast<long>(first * width),
                                  x.begin() + static_cast<long>((first + count) * width));
    const std::vector<float> few = product(kernels, three, at, some);
    CHECK(std::memcmp(few.data(), &all[first * height], count * height * sizeof(float)) == 0);
  }
}

void integer_formats_agree_across_vector_sets(const Kernels& a, const Kernels& b, Format format) {
  const Case at(format, 50, 1408);
  Threads threads(1);
  const std::vector<float> x = Random(9).bells(5 * 1408);
  CHECK(product(a, threads, at, x) == product(b, threads, at, x));
}

void extremes_do_not_overflow(const Kernels& kernels, Format format) {
  const int32_t inputs = 64;
  const size_t size = 16 * 64;
  const std::vector<int8_t> lowest(size, format == Format::int8 ? -128 : -8);
  const std::vector<uint16_t> ones(size / group_inputs, fp16_of_float(1));
  Case at(format, 16, inputs);
  pack_integers(format, lowest.data(), ones.data(), 16, inputs,
                static_cast<uint8_t*>(at.values.data()), static_cast<uint16_t*>(at.scales.data()));
  Threads threads(1);
  const std::vector<float> y = product(kernels, threads, at, std::vector<float>(64, -127));
  for (const float sum : y) CHECK(sum == 64.0f * 127 * (format == Format::int8 ? 128 : 8));
  for (const float sum : product(kernels, threads, at, std::vector<float>(64, 0)))
    CHECK(sum == 0);
}

// What lies beside a product's columns must stay as it was.
constexpr float untouched = -77;

void products_together_equal_products_alone(const Kernels& kernels, size_t rows) {
  const Case cases[] = {{Format::int4, 40, 96}, {Format::int8, 17, 96}, {Format::bf16, 16, 96},
                        {Format::fp32, 3, 96},  {Format::int4, 1, 96}};
  constexpr size_t width = 96, stride = 80;
  Threads one(1), three(3);
  const std::vector<float> x = Random(rows).bells(rows * width);
  const Rows prepared(kernels, three, every_format, x, width);
  std::vector<float> y(rows * stride, untouched);
  std::vector<Product> products;
  size_t column = 0;
  for (const Case& at : cases) {
    products.push_back({at.matrix, &y[column], stride, false});
    column += static_cast<size_t>(at.matrix.outputs);
  }
  CHECK(multiply(kernels, three, prepared.activations, products.data(), 5) == ok);
  for (size_t i = 0; i < products.size(); ++i) {
    const std::vector<float> alone = product(kernels, one, cases[i], x);
    const size_t outputs = static_cast<size_t>(products[i].w.outputs);
    for (size_t row = 0; row < rows; ++row)
      CHECK(std::memcmp(products[i].y + row * stride, &alone[row * outputs],
                        outputs * sizeof(float)) == 0);
  }
  for (size_t row = 0; row < rows; ++row)
    for (size_t o = column; o < stride; ++o) CHECK(y[row * stride + o] == untouched);
}

void adding_rounds_once(const Kernels& kernels, Format format, size_t rows) {
  const Case at(format, 35, 128);
  constexpr size_t outputs = 35, stride = 37;
  Threads threads(2);
  const std::vector<float> x = Random(3).bells(rows * 128), before = Random(4).bells(rows * stride);
  const std::vector<float> plain = product(kernels, threads, at, x);
  const Rows prepared(kernels, threads, set_of(format), x, 128);
  std::vector<float> y = before;
  const Product adding = {at.matrix, y.data(), stride, true};
  CHECK(multiply(kernels, threads, prepared.activations, &adding, 1) == ok);
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t row = i / stride, o = i % stride;
    CHECK(y[i] == (o < outputs ? before[i] + plain[row * outputs + o] : before[i]));
  }
}

void a_gate_equals_its_parts(const Kernels& kernels, Format format, int32_t outputs, size_t rows) {
  Case gate(format, outputs, 64), up(format, outputs, 64);
  static_cast<uint8_t*>(up.values.data())[5] ^= 0x30;
  Threads threads(3);
  const size_t size = rows * static_cast<size_t>(outputs);
  const std::vector<float> x = Random(rows).bells(rows * 64);
  const std::vector<float> a = product(kernels, threads, gate, x);
  const std::vector<float> b = product(kernels, threads, up, x);
  std::vector<float> expected(size), y(size, NAN);
  kernels.silu_mul(a.data(), b.data(), static_cast<int64_t>(size), expected.data());
  const Rows prepared(kernels, threads, set_of(format), x, 64);
  CHECK(multiply_gated(kernels, threads, prepared.activations, gate.matrix, up.matrix, y.data()) ==
        ok);
  CHECK(y == expected);
}

void gathered_rows_are_the_weights(Format format) {
  const Case at(format, 35, 96);
  Threads threads(2);
  std::vector<int32_t> rows;
  for (int32_t i = 0; i < 400; ++i) rows.push_back(i * 11 % 35);
  std::vector<float> out(400 * 96);
  CHECK(gather(threads, at.matrix, rows.data(), 400, out.data()) == ok);
  for (size_t i = 0; i < 400; ++i)
    CHECK(std::memcmp(&out[i * 96], &at.weights[static_cast<size_t>(rows[i]) * 96], 96 * 4) == 0);
  rows[7] = 35;
  CHECK(gather(threads, at.matrix, rows.data(), 400, out.data()) != ok);
}

// Scales that are infinite or no numbers spoil their own outputs and nothing else.
void spoilt_scales_stay_in_their_outputs(const Kernels& kernels, Format format, size_t rows) {
  Case at(format, 32, 64);
  Threads threads(1);
  const std::vector<float> x = Random(6).bells(rows * 64);
  const std::vector<float> whole = product(kernels, threads, at, x);
  auto* scales = static_cast<uint16_t*>(at.scales.data());
  scales[3] = 0x7c00;
  scales[4] = 0x7e00;
  const std::vector<float> spoilt = product(kernels, threads, at, x);
  for (size_t i = 0; i < whole.size(); ++i)
    CHECK(i % 32 == 3 || i % 32 == 4 ? !std::isfinite(spoilt[i]) : spoilt[i] == whole[i]);
}

void wrong_shapes_are_errors() {
  Threads threads(1);
  const Kernels& kernels = kernels_of(Isa::portable);
  const Case at(Format::int8, 16, 64);
  const Rows narrow(kernels, threads, every_format, std::vector<float>(9 * 32), 32);
  const Rows rows(kernels, threads, every_format, std::vector<float>(9 * 64), 64);
  float y[16 * 9];
  const auto refused = [&](const Activations& x, const Product& product) {
    return multiply(kernels, threads, x, &product, 1) != ok;
  };
  CHECK(!refused(rows.activations, {at.matrix, y, 16, false}));
  CHECK(refused(narrow.activations, {at.matrix, y, 16, false}));
  CHECK(refused(rows.activations, {at.matrix, y, 15, false}));
  CHECK(refused(rows.activations, {at.matrix, nullptr, 16, false}));
  Matrix odd = at.matrix;
  odd.inputs = 63;
  CHECK(refused(rows.activations, {odd, y, 16, false}));
  Matrix other = at.matrix;
  other.outputs = 15;
  CHECK(multiply_gated(kernels, threads, rows.activations, at.matrix, other, y) != ok);
}

void half_precision_round_trips() {
  for (uint32_t bits = 0; bits < 0x7c00; ++bits)
    CHECK(fp16_of_float(float_of_fp16(static_cast<uint16_t>(bits))) == bits);
  CHECK(fp16_of_float(65520.0f) == 0x7c00);
  CHECK(fp16_of_float(1.0f + 1.0f / 2048) == 0x3c00);
  CHECK(bf16_of_float(1.0f + 1.0f / 256) == 0x3f80);
}

void check_kernels(const Kernels& kernels, Format format) {
  products_match_double_precision(kernels, format, 1, 32, 1);
  products_match_double_precision(kernels, format, 17, 96, 3);
  products_match_double_precision(kernels, format, 40, 512, 19);
  products_match_double_precision(kernels, format, 33, 2048, 8);
  rows_do_not_depend_on_other_rows(kernels, format);
  for (const size_t rows : {1, 7, 50}) {
    adding_rounds_once(kernels, format, rows);
    a_gate_equals_its_parts(kernels, format, 150, rows);
  }
  if ((set_of(format) & with_scales) == 0) return;
  extremes_do_not_overflow(kernels, format);
  spoilt_scales_stay_in_their_outputs(kernels, format, 1);
  spoilt_scales_stay_in_their_outputs(kernels, format, 30);
}

}  // namespace

int main() {
  half_precision_round_trips();
  wrong_shapes_are_errors();
  const std::vector<const Kernels*> all = available_kernels();
  for (const Format format : {Format::fp32, Format::bf16, Format::int8, Format::int4}) {
    unpacking_returns_what_was_packed(format);
    gathered_rows_are_the_weights(format);
    for (const Kernels* kernels : all) check_kernels(*kernels, format);
    for (size_t i = 2; i < all.size() && (set_of(format) & with_scales) != 0; ++i)
      integer_formats_agree_across_vector_sets(*all[1], *all[i], format);
  }
  for (const Kernels* kernels : all)
    for (const size_t rows : {1, 6, 40}) products_together_equal_products_alone(*kernels, rows);
  return verdict();
}
