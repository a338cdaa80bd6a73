// Norm, rotation, gate and greedy choice of every instruction set against double precision.
#include "rows.h"

#include "check.h"

using namespace quipu;

namespace {

constexpr double fp32_steps = 1e-6;  // a handful of roundings, or a sum of some thousand squares
constexpr double fp32_angles = 2e-6;

void norms_match(const Kernels& kernels, int32_t rows, int32_t width) {
  const size_t n = static_cast<size_t>(width);
  Threads threads(2);
  const std::vector<float> x = Random(1).bells(static_cast<size_t>(rows) * n);
  const std::vector<float> weight = Random(2).bells(n);
  std::vector<float> y = x;
  CHECK(rms_norm(kernels, threads, y.data(), weight.data(), 1e-5f, rows, width, y.data()) == ok);
  std::vector<double> expected(x.size());
  for (size_t row = 0; row < x.size(); row += n) {
    double squares = 0;
    for (size_t d = 0; d < n; ++d) squares += double{x[row + d]} * double{x[row + d]};
    const double factor = 1 / std::sqrt(squares / width + 1e-5);
    for (size_t d = 0; d < n; ++d)
      expected[row + d] = double{x[row + d]} * factor * double{weight[d]};
  }
  check_close("rms_norm", isa_name(kernels.isa), y, expected, fp32_steps);
}

void rotations_match(const Kernels& kernels, int32_t rows, int32_t heads, int32_t head_size) {
  const size_t half = static_cast<size_t>(head_size) / 2;
  Threads threads(2);
  std::vector<int32_t> positions;
  for (int32_t row = 0; row < rows; ++row) positions.push_back(16000 + 3 * row);
  std::vector<float> frequency;
  for (size_t e = 0; e < half; ++e)
    frequency.push_back(std::pow(1e6f, -static_cast<float>(e) / static_cast<float>(half)));
  std::vector<float> cos(positions.size() * half), sin(cos.size());
  CHECK(rotary_angles(threads, positions.data(), rows, frequency.data(),
                      static_cast<int32_t>(half), 1.0f, cos.data(), sin.data()) == ok);
  // Rows lie in a wider buffer, as q does beside k and v.
  const size_t width = static_cast<size_t>(heads * head_size), stride = width + 6;
  const std::vector<float> x = Random(3).bells(positions.size() * stride);
  std::vector<float> y = x;
  CHECK(rotate(kernels, threads, y.data(), static_cast<int32_t>(stride), cos.data(), sin.data(),
               rows, heads, head_size) == ok);
  std::vector<double> expected(x.begin(), x.end());
  for (size_t turned = 0; turned < positions.size() * width; turned += 2 * half) {
    const size_t row = turned / width, at = row * stride + turned % width;
    for (size_t e = 0; e < half; ++e) {
      // The angle is the fp32 product by contract; only what follows it is held to be exact.
      const double angle = static_cast<float>(positions[row]) * frequency[e];
      const double first = x[at + e], second = x[at + e + half];
      expected[at + e] = first * std::cos(angle) - second * std::sin(angle);
      expected[at + e + half] = second * std::cos(angle) + first * std::sin(angle);
    }
  }
  check_close("rotate", isa_name(kernels.isa), y, expected, fp32_angles);
}

void gates_match(const Kernels& kernels, int32_t rows, int32_t width) {
  Threads threads(2);
  const size_t size = static_cast<size_t>(rows * width);
  std::vector<float> gate = Random(4).bells(size), up = Random(5).bells(size), out(size);
  for (float& x : gate) x *= 12;
  gate[0] = -1000;  // far beyond where the exponential ends
  CHECK(silu_mul(kernels, threads, gate.data(), up.data(), rows, width, out.data()) == ok);
  std::vector<double> expected(size);
  for (size_t i = 0; i < size; ++i)
    expected[i] = double{gate[i]} / (1 + std::exp(-double{gate[i]})) * double{up[i]};
  check_close("silu_mul", isa_name(kernels.isa), out, expected, fp32_steps);
}

void rows_do_not_depend_on_other_rows(const Kernels& kernels) {
  constexpr int32_t rows = 5, width = 37;
  const std::vector<float> x = Random(6).bells(rows * width);
  Threads threads(1);
  std::vector<float> all(x.size()), one(width);
  silu_mul(kernels, threads, x.data(), x.data(), rows, width, all.data());
  for (size_t row = 0; row < rows; ++row) {
    silu_mul(kernels, threads, &x[row * width], &x[row * width], 1, width, one.data());
    for (size_t i = 0; i < width; ++i) CHECK(one[i] == all[row * width + i]);
  }
}

void the_first_largest_is_chosen(const Kernels& kernels) {
  Threads threads(2);
  int32_t best = -1;
  for (const int32_t size : {1, 7, 16, 33, 1000}) {
    for (int32_t place = 0; place < size; place += 5) {
      std::vector<float> x = Random(7).bells(static_cast<size_t>(size));
      x[static_cast<size_t>(place)] = 9;
      x.back() = 9;
      CHECK(argmax(kernels, threads, x.data(), 1, size, &best) == ok && best == place);
    }
  }
  std::vector<float> x(40, -INFINITY);
  CHECK(argmax(kernels, threads, x.data(), 1, 40, &best) == ok && best == 0);
  x[20] = NAN;
  x[30] = 1;
  CHECK(argmax(kernels, threads, x.data(), 1, 40, &best) == ok && best == 30);
}

}  // namespace

int main() {
  for (const Kernels* kernels : available_kernels()) {
    for (const int32_t width : {1, 15, 64, 1001, 2048}) norms_match(*kernels, 9, width);
    for (const int32_t head_size : {2, 30, 64, 128}) rotations_match(*kernels, 7, 3, head_size);
    for (const int32_t width : {1, 13, 704}) gates_match(*kernels, 6, width);
    rows_do_not_depend_on_other_rows(*kernels);
    the_first_largest_is_chosen(*kernels);
  }
  return verdict();
}
