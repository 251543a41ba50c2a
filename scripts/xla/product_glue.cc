// XLA's CPU backend multiplies matrices of f32 with YNNPACK or Eigen, at half to three quarters of the speed that the
// cores have. These are the two functions where it chooses and calls them. The linker script lists this library before
// XLA's, so these definitions are the ones that are used: a product is cut into pieces for XLA's own threads, and a
// piece is multiplied by the function that the program has given. Without one, all is as XLA has it.
#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#define EIGEN_USE_THREADS
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "unsupported/Eigen/CXX11/Tensor"
#include "xla/shape.h"
#include "xla/xla_data.pb.h"

namespace {

// A matrix in memory: element (i, j) is at data[i * row + j * column].
template <typename T>
struct Matrix {
  T* data;
  int64_t row, column;

  Matrix from(int64_t i, int64_t j) const { return {data + i * row + j * column, row, column}; }
};

// c = a b, where c is m x n with its rows one apart, and k numbers are summed for each element.
using Multiply = void (*)(int64_t m, int64_t n, int64_t k, Matrix<const float> a, Matrix<const float> b,
                          Matrix<float> c);

std::atomic<Multiply> multiply{nullptr};

using Done = absl::AnyInvocable<void()>;

// Additions and multiplications: less than kLeast is not worth a second thread, and pieces of kPiece keep the cost of
// packing small. Smaller pieces would keep more than two threads busy with products of some 50 million operations, but
// take a fifth longer on one and two: 32 columns are too few for a kernel to pack the other operand.
constexpr double kLeast = 2e6, kPiece = 20e6;
// At most so many pieces of less than kPiece, and so many in all.
constexpr int64_t kFew = 2, kMany = 16;
// A kernel works on so many rows or columns at a time; a piece has whole multiples.
constexpr int64_t kRows = 16, kColumns = 6;

// A product on its way through the threads.
struct MatrixProduct {
  Multiply multiply;
  int64_t m, n, k;
  Matrix<const float> a;
  Matrix<const float> b;
  Matrix<float> c;
  Done done;
  int64_t pieces = 1;
  bool by_columns = true;
  std::atomic<int64_t> next{0}, left{1};

  // How the product is cut depends on its sizes alone and never on the number of threads: in which order the numbers of
  // an element are added may depend on the size of its piece.
  void Cut() {
    double operations = 2.0 * m * n * k;
    int64_t few = std::clamp<double>(operations / kLeast, 1, kFew);
    int64_t wanted = std::min<double>(operations / kPiece, kMany);
    wanted = std::max(few, (wanted + few - 1) / few * few);
    // Where the rows of `a` are not one apart, every few columns would have it packed anew.
    by_columns = n >= 4 * m || (a.row == 1 && n >= wanted * kColumns);
    pieces = std::clamp<int64_t>(Units(), 1, wanted);
    left = pieces;
  }

  int64_t Unit() const { return by_columns ? kColumns : kRows; }
  int64_t Length() const { return by_columns ? n : m; }
  int64_t Units() const { return (Length() + Unit() - 1) / Unit(); }

  // Takes pieces until there are none left. The last one to be ready says that the product is done.
  void Work() {
    for (int64_t i; (i = next.fetch_add(1)) < pieces;) {
      int64_t start = Units() * i / pieces * Unit();
      int64_t length = std::min(Length(), Units() * (i + 1) / pieces * Unit()) - start;
      if (by_columns) {
        multiply(m, length, k, a, b.from(0, start), c.from(0, start));
      } else {
        multiply(length, n, k, a.from(start, 0), b, c.from(start, 0));
      }
      if (left.fetch_sub(1) == 1) std::move(done)();
    }
  }
};

}  // namespace

extern "C" void xla_glue_multiply_with(Multiply f) { multiply = f; }

namespace xla::cpu::internal {

template <typename Lhs, typename Rhs, typename Out>
void TypedMatMul(const Eigen::ThreadPoolDevice* device, void* out, void* lhs, void* rhs, int64_t m, int64_t n,
                 int64_t k, bool transpose_lhs, bool transpose_rhs, Done done);

// Every matrix is stored by columns; one that is to be transposed, by rows.
template <>
void TypedMatMul<float, float, float>(const Eigen::ThreadPoolDevice* device, void* out, void* lhs, void* rhs,
                                      int64_t m, int64_t n, int64_t k, bool transpose_lhs, bool transpose_rhs,
                                      Done done) {
  Multiply given = multiply;
  if (given == nullptr) {
    static const auto xlas = reinterpret_cast<decltype(&TypedMatMul<float, float, float>)>(
        dlsym(RTLD_NEXT, "_ZN3xla3cpu8internal11TypedMatMulIfffEEvPKN5Eigen16ThreadPoolDeviceEPvS7_S7_lllbb"
                         "N4absl12lts_2025081412AnyInvocableIFvvEEE"));
    return xlas(device, out, lhs, rhs, m, n, k, transpose_lhs, transpose_rhs, std::move(done));
  }
  auto product = std::make_shared<MatrixProduct>();
  product->multiply = given;
  product->m = m, product->n = n, product->k = k;
  product->a = {static_cast<const float*>(lhs), transpose_lhs ? k : 1, transpose_lhs ? 1 : m};
  product->b = {static_cast<const float*>(rhs), transpose_rhs ? n : 1, transpose_rhs ? 1 : k};
  product->c = {static_cast<float*>(out), 1, m};
  product->done = std::move(done);
  product->Cut();
  int64_t threads = device == nullptr ? 1 : device->numThreads();
  // This thread works too, so that nothing waits for another to wake up.
  for (int64_t helper = 1; helper < std::min(threads, product->pieces); ++helper) {
    device->getPool()->Schedule([product] { product->Work(); });
  }
  product->Work();
}

}  // namespace xla::cpu::internal

namespace xla::cpu {

// Leaves products of two matrices to the function above. Those of many small ones at once YNNPACK does in parallel.
absl::StatusOr<bool> IsDotSupportedByYnn(const DotDimensionNumbers& dot, const Shape& lhs, const Shape& rhs,
                                         const Shape& out) {
  if (multiply != nullptr && out.element_type() == F32 && dot.lhs_batch_dimensions().empty()) return false;
  using Function = absl::StatusOr<bool> (*)(const DotDimensionNumbers&, const Shape&, const Shape&, const Shape&);
  static const auto xlas = reinterpret_cast<Function>(
      dlsym(RTLD_NEXT, "_ZN3xla3cpu19IsDotSupportedByYnnERKNS_19DotDimensionNumbersERKNS_5ShapeES6_S6_"));
  return xlas(dot, lhs, rhs, out);
}

}  // namespace xla::cpu
