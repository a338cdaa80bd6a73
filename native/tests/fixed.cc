// Products in fixed point: every instruction set against the portable twin, bit for bit, and that
// against double precision.
#include "fixed.h"

#include <cstring>
#include <limits>

#include "check.h"

using namespace quipu;

namespace {

// Roundings of 1 / 2895 of the largest of 256 bell-shaped numbers, in both factors, largest result.
constexpr double rounding = 1e-3;

struct Shape {
  int32_t rows, columns, depth;
  bool a_turned, b_turned;
};

struct Numbers {
  explicit Numbers(const Shape& s) {
    Random random(7);
    a = random.bells(static_cast<size_t>(s.rows * s.depth));
    b = random.bells(static_cast<size_t>(s.columns * s.depth));
  }
  std::vector<float> a, b;
};

std::vector<float> product(const Kernels& kernels, const Shape& s, const Numbers& n, int threads) {
  std::vector<float> y(static_cast<size_t>(s.rows * s.columns), NAN);
  FixedTask task{};
  task.a = {n.a.data(), s.a_turned ? s.rows : s.depth, s.a_turned};
  task.b = {n.b.data(), s.b_turned ? s.columns : s.depth, s.b_turned};
  task.y = y.data(), task.y_stride = s.columns;
  task.rows = s.rows, task.columns = s.columns, task.depth = s.depth;
  CHECK(multiply_fixed(kernels, task, threads) == ok);
  return y;
}

float at(const std::vector<float>& x, bool turned, int32_t outer, int32_t count, int32_t depth,
         int32_t i) {
  return x[static_cast<size_t>(turned ? i * count + outer : outer * depth + i)];
}

std::vector<double> exact(const Shape& s, const Numbers& n) {
  std::vector<double> y(static_cast<size_t>(s.rows * s.columns));
  for (int32_t row = 0; row < s.rows; ++row) {
    for (int32_t column = 0; column < s.columns; ++column) {
      const auto place = static_cast<size_t>(row * s.columns + column);
      double sum = 0;
      for (int32_t i = 0; i < s.depth; ++i)
        sum += double{at(n.a, s.a_turned, row, s.rows, s.depth, i)} *
               double{at(n.b, s.b_turned, column, s.columns, s.depth, i)};
      y[place] = sum;
    }
  }
  return y;
}

bool same(const std::vector<float>& x, const std::vector<float>& y) {
  return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
}

void results_match(const Kernels& kernels, const Kernels& twin, const Shape& s) {
  const Numbers n(s);
  const std::vector<float> y = product(kernels, s, n, 1);
  CHECK(same(y, product(twin, s, n, 1)));
  CHECK(same(y, product(kernels, s, n, 3)));
  check_close("product", isa_name(kernels.isa), y, exact(s, n), rounding);
}

// Stretches of zeros, of what is next to nothing, and of largest numbers.
void extremes(const Kernels& kernels, const Kernels& twin) {
  const Shape s = {7, 33, 512, false, true};
  Numbers n(s);
  for (size_t i = 0; i < 256; ++i) n.a[i] = 0, n.a[512 + i] = 1e-35f;
  for (size_t i = 0; i < 512; ++i) n.a[1024 + i] = 1e30f, n.b[i * 33 + 2] = i % 2 ? -1 : 1;
  for (size_t i = 0; i < 512; ++i) n.b[i * 33 + 3] = 1;
  const std::vector<float> y = product(kernels, s, n, 1);
  CHECK(same(y, product(twin, s, n, 1)));
  CHECK(y[2 * 33 + 2] == 0);  // 512 largest integers of each sign
  CHECK(std::fabs(y[2 * 33 + 3] / 512e30f - 1) < 1e-5);
}

// A number that is none makes its own row and column none, nothing else.
void not_numbers(const Kernels& kernels) {
  const Shape s = {9, 40, 300, false, true};
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                          -std::numeric_limits<float>::infinity()}) {
    Numbers n(s);
    n.a[4 * 300 + 290] = bad;
    n.b[17 * 40 + 35] = bad;
    const std::vector<float> y = product(kernels, s, n, 1);
    for (size_t row = 0; row < 9; ++row)
      for (size_t column = 0; column < 40; ++column)
        CHECK(std::isnan(y[row * 40 + column]) == (row == 4 || column == 35));
  }
}

}  // namespace

int main() {
  const Kernels& twin = kernels_of(Isa::portable);
  for (const Kernels* kernels : available_kernels()) {
    for (const bool a_turned : {false, true})
      for (const bool b_turned : {false, true}) {
        results_match(*kernels, twin, {1, 1, 1, a_turned, b_turned});
        results_match(*kernels, twin, {49, 33, 255, a_turned, b_turned});
        results_match(*kernels, twin, {101, 71, 600, a_turned, b_turned});
      }
    results_match(*kernels, twin, {7, 100, 256 * 70, false, true});  // columns in turns
    results_match(*kernels, twin, {7, 100, 256 * 70, false, false});
    extremes(*kernels, twin);
    not_numbers(*kernels);
    FixedTask none{};
    CHECK(multiply_fixed(*kernels, none, 1) != ok);
  }
  return verdict();
}
