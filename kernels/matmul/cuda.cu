// cuBLASLt sees everything column by column: y^T [N, L] = W [K, N]^T x^T [K, L]. Depths and row
// strides of weights are padded to multiples of 16, so that the library's fast routines apply
// wherever x and y are aligned too.
#include <algorithm>
#include <mutex>
#include <optional>
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
  std::optional<Fp8Scales> fp8;  // then `half` holds values of e4m3
  // The routine of each form (type of y, bias, accumulate, alignment). Chosen once, for many rows,
  // and then used for any number of them: another routine might add in another order.
  static constexpr int kForms = 16;
  mutable std::mutex mutex;
  mutable bool known[kForms] = {};
  mutable BlasRoutine routines[kForms] = {};
};

namespace {

template <class T>
constexpr cudaDataType_t kType = CUDA_R_32F;
template <>
constexpr cudaDataType_t kType<bf16> = CUDA_R_16BF;

constexpr Index kTypicalRows = 65536;
constexpr Index kTrialElements = Index{1} << 28;  // of x and two y, when routines are tried
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

// The routines for this product that add along K in one go, best first by the library's own model;
// none for some unaligned shapes.
struct Candidates {
  static constexpr int kMost = 16;
  int count = 0;
  cublasLtMatmulAlgo_t list[kMost] = {};
};
Candidates candidates(const Blas& blas, const Form& form, std::uint32_t alignment) {
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
  cublasLtMatmulHeuristicResult_t found[Candidates::kMost] = {};
  int count = 0;
  const auto status =
      blas.MatmulAlgoGetHeuristic(blas.handle, form.desc, form.w, form.x, form.y, form.y,
                                  preference, Candidates::kMost, found, &count);
  blas.MatmulPreferenceDestroy(preference);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return {};
  ok(status);
  Candidates out;
  for (int i = 0; i < count; ++i) {
    std::uint32_t parts = 1;
    std::size_t written = 0;
    blas.MatmulAlgoConfigGetAttribute(&found[i].algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &parts,
                                      sizeof parts, &written);
    if (parts <= 1) out.list[out.count++] = found[i].algo;
  }
  return out;
}

// For trials: not zeros, which multiply faster.
template <class T>
__global__ void trial_kernel(T* out, Index n) {
  const Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  const unsigned mixed = (static_cast<unsigned>(i) ^ 0x9e3779b9u) * 2654435761u;
  if (i < n) out[i] = from_float<T>(static_cast<float>(mixed >> 8) * 0x1p-23f - 1.0f);
}

template <class T>
__global__ void differ_kernel(const T* a, const T* b, Index n, int* differs) {
  const Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n && to_float(a[i]) != to_float(b[i])) *differs = 1;
}

class Event {
 public:
  Event() { ok(cudaEventCreate(&event_)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  operator cudaEvent_t() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

// The library's order is not that of the times: the best of its list was found up to a seventh
// faster than the first. Tried on random rows are those that give the first one's values, so that
// which of them wins, and with it the noise of the clock, does not show in any result. Without
// memory for a trial the first one stays.
template <class X, class Y>
int fastest(Cuda& cuda, const CudaMatmul& weight, const void* w, const void* bias, bool accumulate,
            Index x_stride, Index y_stride, const Candidates& routines) {
  const Blas& blas = blas_of(cuda);
  const Index n = std::clamp<Index>(kTrialElements / (x_stride + 2 * y_stride) / 1024 * 1024, 1024,
                                    kTypicalRows);
  CudaBuffer<X> x;
  CudaBuffer<Y> first, other;
  CudaBuffer<int> differs;
  try {
    x = CudaBuffer<X>(cuda, n * x_stride);
    first = CudaBuffer<Y>(cuda, n * y_stride);
    other = CudaBuffer<Y>(cuda, n * y_stride);
    differs = CudaBuffer<int>(cuda, 1);
  } catch (const Error& error) {
    if (error.fault() != Fault::memory) throw;
    return 0;
  }
  trial_kernel<<<static_cast<unsigned>(div_up(x.size(), 256)), 256, 0, stream_of(cuda)>>>(x.data(),
                                                                                          x.size());
  ok_launch();
  Form form(blas, weight, kType<X>, kType<Y>, n, x_stride, y_stride);
  if (bias != nullptr) form.set_bias(bias, kType<Y>);
  const float one = 1, beta = accumulate ? 1 : 0;
  const auto multiply = [&](int i, CudaBuffer<Y>& y) {
    return blas.Matmul(blas.handle, form.desc, &one, w, form.w, x.data(), form.x, &beta, y.data(),
                       form.y, y.data(), form.y, &routines.list[i], blas_workspace(cuda),
                       static_cast<std::size_t>(kBlasWorkspace),
                       stream_of(cuda)) == CUBLAS_STATUS_SUCCESS;
  };
  const Event begun, ended;
  const auto milliseconds = [&](int i) {
    float best = 1e30f;
    for (int repeat = 0; repeat < 4; ++repeat) {
      ok(cudaEventRecord(begun, stream_of(cuda)));
      if (!multiply(i, other)) return 1e30f;
      ok(cudaEventRecord(ended, stream_of(cuda)));
      ok(cudaEventSynchronize(ended));
      float ms = 0;
      ok(cudaEventElapsedTime(&ms, begun, ended));
      best = std::min(best, ms);
    }
    return best;
  };
  cuda.fill_zero(first.data(), first.bytes());
  if (!multiply(0, first)) return 0;
  int winner = 0;
  float time = milliseconds(0) * 0.97f;  // less than that is no gain
  for (int i = 1; i < routines.count; ++i) {
    cuda.fill_zero(other.data(), other.bytes());
    cuda.fill_zero(differs.data(), differs.bytes());
    if (!multiply(i, other)) continue;
    differ_kernel<<<static_cast<unsigned>(div_up(first.size(), 256)), 256, 0, stream_of(cuda)>>>(
        first.data(), other.data(), first.size(), differs.data());
    ok_launch();
    int answer = 0;
    cuda.copy_out(&answer, differs.data(), sizeof answer);
    if (answer != 0) continue;
    if (const float ms = milliseconds(i); ms < time) winner = i, time = ms;
  }
  return winner;
}

template <class X, class Y>
BlasRoutine choose(Cuda& cuda, const CudaMatmul& weight, const void* w, const void* bias,
                   bool accumulate, bool fast, Index x_stride, Index y_stride) {
  const Blas& blas = blas_of(cuda);
  BlasRoutine made;
  made.outputs = weight.N, made.inputs = weight.K;
  made.x_stride = x_stride, made.y_stride = y_stride;
  made.form = (sizeof(X) == 2 ? 1 : 0) | (sizeof(Y) == 2 ? 2 : 0) | (bias != nullptr ? 4 : 0) |
              (accumulate ? 8 : 0) | (fast ? 16 : 0);
  const std::lock_guard lock(blas.mutex);
  for (const BlasRoutine& known : blas.routines) {
    if (known.outputs == made.outputs && known.inputs == made.inputs &&
        known.x_stride == x_stride && known.y_stride == y_stride && known.form == made.form) {
      return known;
    }
  }
  Form typical(blas, weight, kType<X>, kType<Y>, kTypicalRows, x_stride, y_stride);
  if (bias != nullptr) typical.set_bias(bias, kType<Y>);
  const auto alignment = static_cast<std::uint32_t>(fast ? 16 : std::min(sizeof(X), sizeof(Y)));
  const Candidates routines = candidates(blas, typical, alignment);
  if (routines.count > 0) {
    int best = 0;
    if (routines.count > 1 && fast) {
      best = fastest<X, Y>(cuda, weight, w, bias, accumulate, x_stride, y_stride, routines);
    }
    made.found = true;
    made.algorithm = routines.list[best];
  }
  blas.routines.push_back(made);
  return made;
}

// What is left to us then: a thread a value, along K in order.
template <class X, class Y>
__global__ void plain_kernel(View<const X, 2> x, const X* w, Index ld, float factor,
                             View<const float, 1> bias, bool accumulate, View<Y, 2> y) {
  const Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  const Index t = i / y.extent[1], n = i % y.extent[1];
  if (t >= y.extent[0]) return;
  float sum = 0;
  for (Index k = 0; k < x.extent[1]; ++k)
    sum = fmaf(to_float(x.row(t)[k]), to_float(w[n * ld + k]), sum);
  sum = fmaf(sum, factor, bias.empty() ? 0.0f : bias.data[n]);
  Y& out = y.row(t)[n];
  out = from_float<Y>(accumulate ? to_float(out) + sum : sum);
}

__global__ void to_bf16_kernel(View<const float, 2> x, bf16* y, Index ld) {
  const Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  const Index t = i / ld, d = i % ld;
  if (t >= x.extent[0]) return;
  y[i] = from_float<bf16>(d < x.extent[1] ? x.row(t)[d] : 0.0f);
}

// As round_to_e4m3() of dtype.h, whose comments say why.
__device__ __forceinline__ float e4m3_of(float v) {
  const float held = v > 448.0f ? 448.0f : v < -448.0f ? -448.0f : v;
  const unsigned bits = __float_as_uint(held);
  if (v != v) return v;
  if ((bits & 0x7fffffffu) < 0x3c800000u) return __fadd_rn(__fadd_rn(held, 24576.0f), -24576.0f);
  return __uint_as_float((bits + 0x7ffffu + ((bits >> 20) & 1u)) & ~0xfffffu);
}

template <class X>
__global__ void to_e4m3_kernel(View<const X, 2> x, float scale, bf16* y, Index ld) {
  const Index i = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  const Index t = i / ld, d = i % ld;
  if (t >= x.extent[0]) return;
  y[i] = from_float<bf16>(d < x.extent[1] ? e4m3_of(to_float(x.row(t)[d]) * scale) : 0.0f);
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

// y (+)= factor * x W^T + bias. `bias_memory`: of [N] bf16, where the op's scratch memory is in
// use.
template <class X, class Y>
void multiply(Cuda& cuda, const CudaMatmul& weight, View<const X, 2> x, View<const float, 1> bias,
              bool accumulate, View<Y, 2> y, float factor = 1, bf16* bias_memory = nullptr) {
  const Blas& blas = blas_of(cuda);
  void* workspace = blas_workspace(cuda);
  const void* bias_data = bias.data;
  if (!bias.empty() && sizeof(Y) == 2) {
    // The epilogue wants the bias in y's type.
    bf16* rounded =
        bias_memory != nullptr ? bias_memory : static_cast<bf16*>(cuda.scratch(weight.N * 2));
    convert(cuda, {bias.data, {1, weight.N}}, rounded, weight.N);
    bias_data = rounded;
  }
  const auto aligned = [](const void* p, Index stride, std::size_t size) {
    return reinterpret_cast<std::uintptr_t>(p) % 16 == 0 &&
           static_cast<std::size_t>(stride) * size % 16 == 0;
  };
  // A single row may have any stride.
  const Index x_stride = std::max(x.stride[0], weight.K),
              y_stride = std::max(y.stride[0], weight.N);
  const bool fast = aligned(x.data, x_stride, sizeof(X)) && aligned(y.data, y_stride, sizeof(Y));
  const int key =
      (sizeof(Y) == 2 ? 1 : 0) | (bias.empty() ? 0 : 2) | (accumulate ? 4 : 0) | (fast ? 8 : 0);
  const float beta = accumulate ? 1 : 0;
  const void* w = weight.precision == Precision::bf16 ? static_cast<const void*>(weight.half.data())
                                                      : weight.full.data();
  const Index L = x.extent[0];
  const Index rows_a_call =
      std::max<Index>(1024, kElementsACall / std::max(x_stride, y_stride) / 1024 * 1024);
  for (Index begin = 0; begin < L; begin += rows_a_call) {
    const Index n = std::min(L - begin, rows_a_call);
    Form form(blas, weight, kType<X>, kType<Y>, n, x_stride, y_stride);
    if (!bias.empty()) form.set_bias(bias_data, kType<Y>);
    BlasRoutine routine;
    {
      const std::lock_guard lock(weight.mutex);
      if (!weight.known[key]) {
        weight.routines[key] = choose<X, Y>(cuda, weight, w, bias.empty() ? nullptr : bias_data,
                                            accumulate, fast, x_stride, y_stride);
        weight.known[key] = true;
      }
      routine = weight.routines[key];
    }
    if (!routine.found) {
      plain_kernel<X, Y>
          <<<static_cast<unsigned>(div_up(n * weight.N, 256)), 256, 0, stream_of(cuda)>>>(
              rows(x, begin, begin + n), static_cast<const X*>(w), weight.ld, factor, bias,
              accumulate, rows(y, begin, begin + n));
      ok_launch();
      continue;
    }
    ok(blas.Matmul(blas.handle, form.desc, &factor, w, form.w, x.row(begin), form.x, &beta,
                   y.row(begin), form.y, y.row(begin), form.y, &routine.algorithm, workspace,
                   static_cast<std::size_t>(kBlasWorkspace), stream_of(cuda)));
  }
}

const CudaMatmul& packed(const MatmulWeight& weight, bool half) {
  const CudaMatmul* packed = weight.impl().cuda.get();
  require(packed != nullptr, Fault::internal,
          "matmul: weight is packed for another device, want Cuda");
  require(!half || packed->precision == Precision::bf16, Fault::internal,
          "matmul: the weight is float32, want bf16 as x is");
  return *packed;
}

// The rounded inputs are exact in bf16, and so is every product in float32.
template <class X, class Y>
void run_e4m3(Cuda& cuda, const CudaMatmul& weight, const BasicMatmul<X, Y>& op) {
  require(!op.softplus, Fault::internal, "matmul: softplus of a product in e4m3");
  const Index n = op.x.extent[0] * weight.ld;
  auto* rounded = static_cast<bf16*>(cuda.scratch((n + weight.N) * Index{sizeof(bf16)}));
  to_e4m3_kernel<X><<<static_cast<unsigned>(div_up(n, 256)), 256, 0, stream_of(cuda)>>>(
      op.x, weight.fp8->input, rounded, weight.ld);
  ok_launch();
  multiply<bf16, Y>(cuda, weight, {rounded, {op.x.extent[0], weight.K}, {weight.ld, 1}}, op.bias,
                    op.accumulate, op.y, 1 / (weight.fp8->input * weight.fp8->weight), rounded + n);
}

template <class X, class Y>
void run_any(Cuda& cuda, const BasicMatmul<X, Y>& op) {
  const CudaMatmul& weight = packed(*op.weight, sizeof(X) == 2);
  if (op.x.extent[0] == 0) return;
  if (weight.fp8) return run_e4m3(cuda, weight, op);
  multiply(cuda, weight, op.x, op.bias, op.accumulate, op.y);
  if (op.softplus) {
    softplus_kernel<<<static_cast<unsigned>(div_up(op.y.size(), 256)), 256, 0, stream_of(cuda)>>>(
        op.y);
    ok_launch();
  }
}

}  // namespace

std::shared_ptr<const CudaMatmul> pack_for_cuda(Cuda& cuda, const WeightRows& w,
                                                Precision precision,
                                                const std::optional<Fp8Scales>& fp8) {
  auto weight = std::make_shared<CudaMatmul>();
  weight->N = w.outputs();
  weight->K = w.inputs();
  weight->ld = (weight->K + 15) / 16 * 16;
  weight->precision = fp8 ? Precision::bf16 : precision;
  weight->fp8 = fp8;
  const auto n = static_cast<std::size_t>(weight->N * weight->ld);
  if (weight->precision == Precision::fp32) {
    std::vector<float> full(n);
    for (Index i = 0; i < weight->N; ++i) {
      std::copy_n(w.row(i), weight->K, full.begin() + i * weight->ld);
    }
    weight->full = CudaBuffer<float>(cuda, full);
  } else {
    std::vector<bf16> half(n);
    for (Index i = 0; i < weight->N; ++i) {
      const float* row = w.row(i);
      std::transform(row, row + weight->K, half.begin() + i * weight->ld, [&](float v) {
        return bf16{f32_to_bf16(fp8 ? round_to_e4m3(v * fp8->weight) : v)};
      });
    }
    weight->half = CudaBuffer<bf16>(cuda, half);
  }
  cuda.wait();
  return weight;
}

Index bytes_of(const CudaMatmul& weight) { return weight.full.bytes() + weight.half.bytes(); }

void run(Cuda& cuda, const Matmul& op) {
  const CudaMatmul& weight = packed(*op.weight, false);
  if (weight.precision == Precision::fp32 || weight.fp8) {
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
