// cuBLASLt sees everything column by column: y^T [N, L] = W [K, N]^T x^T [K, L]. Depths and row strides
// of weights are padded to multiples of 16, so that the library's fast routines apply wherever x and
// y are aligned too.
#include <algorithm>
#include <mutex>
#include <vector>

#include "kernels/core/cuda/blas.h"
#include "kernels/core/cuda/device.cuh"
#include "kernels/matmul/cuda_step.h"
#include "kernels/matmul/packed.h"

namespace genossm {

struct CudaMatmul {
  Index N = 0, K = 0, ld = 0;
  Precision precision = Precision::fp32;
  CudaBuffer<float> full;  // [N, ld]
  CudaBuffer<bf16> half;
  // The routine of each form (type of y, bias, accumulate, alignment). Chosen once, for many rows, and
  // then used for any number of them: another routine might add in another order.
  static constexpr int kForms = 16;
  mutable std::mutex mutex;
  enum class Known { no, routine, none };
  mutable Known known[kForms] = {};
  mutable cublasLtMatmulAlgo_t routines[kForms] = {};
};

namespace {

template <class T>
constexpr cudaDataType_t kType = CUDA_R_32F;
template <>
constexpr cudaDataType_t kType<bf16> = CUDA_R_16BF;

constexpr Index kTypicalRows = 65536;
constexpr Index kElementsACall = Index{1} << 30;  // so that no routine's 32-bit offsets overflow

// One product's descriptions, freed together.
class Form {
 public:
  Form(const Blas& blas, const CudaMatmul& weight, cudaDataType_t x_type, cudaDataType_t y_type,
       Index rows, Index x_stride, Index y_stride)
      : blas_(blas) {
    ok(blas.MatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    const cublasOperation_t transposed = CUBLAS_OP_T;
    ok(blas.MatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                   sizeof transposed));
    const auto n = static_cast<std::uint64_t>(weight.N), k = static_cast<std::uint64_t>(weight.K);
    const auto l = static_cast<std::uint64_t>(rows);
    ok(blas.MatrixLayoutCreate(&w, x_type, k, n, weight.ld));
    ok(blas.MatrixLayoutCreate(&x, x_type, k, l, x_stride));
    ok(blas.MatrixLayoutCreate(&y, y_type, n, l, y_stride));
  }
  ~Form() {
    if (y) blas_.MatrixLayoutDestroy(y);
    if (x) blas_.MatrixLayoutDestroy(x);
    if (w) blas_.MatrixLayoutDestroy(w);
    if (desc) blas_.MatmulDescDestroy(desc);
  }
  Form(const Form&) = delete;
  Form& operator=(const Form&) = delete;

  void set_bias(const void* bias, cudaDataType_t type) {
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    ok(blas_.MatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
                                    sizeof epilogue));
    ok(blas_.MatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &type, sizeof type));
    ok(blas_.MatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias));
  }

  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatrixLayout_t w = nullptr, x = nullptr, y = nullptr;

 private:
  const Blas& blas_;
};

// The fastest routine by the library's own model that adds along K in one go; false where it has none,
// as for some unaligned shapes.
bool choose(const Blas& blas, const Form& form, std::uint32_t alignment,
            cublasLtMatmulAlgo_t& routine) {
  cublasLtMatmulPreference_t preference = nullptr;
  ok(blas.MatmulPreferenceCreate(&preference));
  const std::size_t workspace = kBlasWorkspace;
  ok(blas.MatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                       &workspace, sizeof workspace));
  for (const auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    ok(blas.MatmulPreferenceSetAttribute(preference, attribute, &alignment, sizeof alignment));
  }
  constexpr int kCandidates = 16;
  cublasLtMatmulHeuristicResult_t found[kCandidates] = {};
  int count = 0;
  const auto status =
      blas.MatmulAlgoGetHeuristic(blas.handle, form.desc, form.w, form.x, form.y, form.y, preference,
                                  kCandidates, found, &count);
  blas.MatmulPreferenceDestroy(preference);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return false;
  ok(status);
  for (int i = 0; i < count; ++i) {
    std::uint32_t parts = 1;
    std::size_t written = 0;
    blas.MatmulAlgoConfigGetAttribute(&found[i].algo,
                                      CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &parts, sizeof parts, &written);
    if (parts > 1) continue;
    routine = found[i].algo;
    return true;
  }
  return false;
}

// What is left to us then: a thread a value, along K in order.
template <class X, class Y>
__global__ void plain_kernel(View<const X, 2> x, const X* w, Index ld, View<const float, 1> bias,
                             bool accumulate, View<Y, 2> y) {
  const Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  const Index t = i / y.extent[1], n = i % y.extent[1];
  if (t >= y.extent[0]) return;
  float sum = bias.empty() ? 0.0f : bias.data[n];
  for (Index k = 0; k < x.extent[1]; ++k) sum = fmaf(to_float(x.row(t)[k]), to_float(w[n * ld + k]), sum);
  Y& out = y.row(t)[n];
  out = from_float<Y>(accumulate ? to_float(out) + sum : sum);
}

__global__ void to_bf16_kernel(View<const float, 2> x, bf16* y, Index ld) {
  const Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  const Index t = i / ld, d = i % ld;
  if (t >= x.extent[0]) return;
  y[i] = from_float<bf16>(d < x.extent[1] ? x.row(t)[d] : 0.0f);
}

template <class Y>
__global__ void softplus_kernel(View<Y, 2> y) {
  const Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  const Index t = i / y.extent[1], d = i % y.extent[1];
  if (t >= y.extent[0]) return;
  y.row(t)[d] = from_float<Y>(softplus_of<Y>(to_float(y.row(t)[d])));
}

void convert(Cuda& cuda, View<const float, 2> x, bf16* y, Index ld) {
  const Index n = x.extent[0] * ld;
  to_bf16_kernel<<<static_cast<unsigned>(div_up(n, 256)), 256, 0, stream_of(cuda)>>>(x, y, ld);
  ok_launch();
}

template <class X, class Y>
void multiply(Cuda& cuda, const CudaMatmul& weight, View<const X, 2> x, View<const float, 1> bias,
              bool accumulate, View<Y, 2> y) {
  const Blas& blas = blas_of(cuda);
  void* workspace = blas_workspace(cuda);
  const void* bias_data = bias.data;
  if (!bias.empty() && sizeof(Y) == 2) {
    // The epilogue wants the bias in y's type.
    bf16* rounded = static_cast<bf16*>(cuda.scratch(weight.N * 2));
    convert(cuda, {bias.data, {1, weight.N}}, rounded, weight.N);
    bias_data = rounded;
  }
  const auto aligned = [](const void* p, Index stride, std::size_t size) {
    return reinterpret_cast<std::uintptr_t>(p) % 16 == 0 &&
           static_cast<std::size_t>(stride) * size % 16 == 0;
  };
  // A single row may have any stride.
  const Index x_stride = std::max(x.stride[0], weight.K), y_stride = std::max(y.stride[0], weight.N);
  const bool fast = aligned(x.data, x_stride, sizeof(X)) && aligned(y.data, y_stride, sizeof(Y));
  const int key = (sizeof(Y) == 2 ? 1 : 0) | (bias.empty() ? 0 : 2) | (accumulate ? 4 : 0) |
                  (fast ? 8 : 0);
  const float one = 1, beta = accumulate ? 1 : 0;
  const void* w = weight.precision == Precision::bf16 ? static_cast<const void*>(weight.half.data())
                                                      : weight.full.data();
  const Index L = x.extent[0];
  const Index rows_a_call =
      std::max<Index>(1024, kElementsACall / std::max(x_stride, y_stride) / 1024 * 1024);
  for (Index begin = 0; begin < L; begin += rows_a_call) {
    const Index n = std::min(L - begin, rows_a_call);
    Form form(blas, weight, kType<X>, kType<Y>, n, x_stride, y_stride);
    if (!bias.empty()) form.set_bias(bias_data, kType<Y>);
    cublasLtMatmulAlgo_t routine;
    bool has_routine = true;
    {
      const std::lock_guard lock(weight.mutex);
      if (weight.known[key] == CudaMatmul::Known::no) {
        Form typical(blas, weight, kType<X>, kType<Y>, kTypicalRows, x_stride, y_stride);
        if (!bias.empty()) typical.set_bias(bias_data, kType<Y>);
        const auto alignment = static_cast<std::uint32_t>(fast ? 16 : std::min(sizeof(X), sizeof(Y)));
        weight.known[key] = choose(blas, typical, alignment, weight.routines[key])
                                ? CudaMatmul::Known::routine
                                : CudaMatmul::Known::none;
      }
      has_routine = weight.known[key] == CudaMatmul::Known::routine;
      routine = weight.routines[key];
    }
    if (!has_routine) {
      plain_kernel<X, Y><<<static_cast<unsigned>(div_up(n * weight.N, 256)), 256, 0, stream_of(cuda)>>>(
          rows(x, begin, begin + n), static_cast<const X*>(w), weight.ld, bias, accumulate,
          rows(y, begin, begin + n));
      ok_launch();
      continue;
    }
    ok(blas.Matmul(blas.handle, form.desc, &one, w, form.w, x.row(begin), form.x, &beta,
                   y.row(begin), form.y, y.row(begin), form.y, &routine, workspace,
                   static_cast<std::size_t>(kBlasWorkspace), stream_of(cuda)));
  }
}

const CudaMatmul& packed(const MatmulWeight& weight, bool half) {
  const CudaMatmul* packed = weight.impl().cuda.get();
  require(packed != nullptr, Fault::internal, "matmul: weight is packed for another device, want Cuda");
  require(!half || packed->precision == Precision::bf16, Fault::internal,
          "matmul: the weight is float32, want bf16 as x is");
  return *packed;
}

template <class X, class Y>
void run_any(Cuda& cuda, const BasicMatmul<X, Y>& op) {
  const CudaMatmul& weight = packed(*op.weight, sizeof(X) == 2);
  if (op.x.extent[0] == 0) return;
  multiply(cuda, weight, op.x, op.bias, op.accumulate, op.y);
  if (op.softplus) {
    softplus_kernel<<<static_cast<unsigned>(div_up(op.y.size(), 256)), 256, 0, stream_of(cuda)>>>(op.y);
    ok_launch();
  }
}

}  // namespace

std::shared_ptr<const CudaMatmul> pack_for_cuda(Cuda& cuda, View<const float, 2> w,
                                                Precision precision) {
  auto weight = std::make_shared<CudaMatmul>();
  weight->N = w.extent[0];
  weight->K = w.extent[1];
  weight->ld = (weight->K + 15) / 16 * 16;
  weight->precision = precision;
  const Index n = weight->N * weight->ld;
  std::vector<float> full(static_cast<std::size_t>(n));
  for (Index i = 0; i < weight->N; ++i) {
    std::copy_n(w.row(i), weight->K, full.begin() + i * weight->ld);
  }
  if (precision == Precision::fp32) {
    weight->full = CudaBuffer<float>(cuda, full);
  } else {
    std::vector<bf16> half(full.size());
    for (std::size_t i = 0; i < full.size(); ++i) half[i].bits = f32_to_bf16(full[i]);
    weight->half = CudaBuffer<bf16>(cuda, half);
  }
  cuda.wait();
  return weight;
}

Index bytes_of(const CudaMatmul& weight) { return weight.full.bytes() + weight.half.bytes(); }

void run(Cuda& cuda, const Matmul& op) {
  const CudaMatmul& weight = packed(*op.weight, false);
  if (weight.precision == Precision::fp32) {
    run_any(cuda, op);
    return;
  }
  const Index L = op.x.extent[0];
  if (L == 0) return;
  CudaBuffer<bf16> rounded(cuda, L * weight.ld);
  convert(cuda, op.x, rounded.data(), weight.ld);
  multiply<bf16, float>(cuda, weight, {rounded.data(), {L, weight.K}, {weight.ld, 1}}, op.bias,
                        op.accumulate, op.y);
  cuda.wait();
}

void run(Cuda& cuda, const BasicMatmul<bf16, bf16>& op) {
  const CudaMatmul& weight = packed(*op.weight, true);
  if (op.softplus && !op.accumulate && step_fits(op.x, op.y, weight.K)) {
    run_step(cuda, op.x, weight.half.data(), weight.ld, op.bias, op.y);
  } else {
    run_any(cuda, op);
  }
}

void run(Cuda& cuda, const BasicMatmul<bf16, float>& op) { run_any(cuda, op); }

}  // namespace genossm
