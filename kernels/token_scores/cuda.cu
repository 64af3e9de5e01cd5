#include "kernels/core/cuda/device.cuh"
#include "kernels/core/cuda/impl.h"
#include "kernels/token_scores/token_scores.h"

namespace genossm {
namespace {

constexpr int kThreads = 128;

// One thread a token: alphabets have 4 to 16 letters. The largest logit is left out of the sum, whose
// logarithm is then accurate also where one token has nearly all the probability.
__global__ void scores_kernel(TokenScores op) {
  const Index t = static_cast<Index>(blockIdx.x) * kThreads + threadIdx.x;
  if (t >= op.logits.extent[0]) return;
  const float* logits = op.logits.row(t);
  const Index K = op.alphabet.empty() ? op.logits.extent[1] : op.alphabet.extent[0];
  const auto logit = [&](Index k) { return logits[op.alphabet.empty() ? k : op.alphabet.data[k]]; };
  Index best = 0;
  for (Index k = 1; k < K; ++k) {
    if (logit(k) > logit(best)) best = k;
  }
  const float largest = logit(best);
  float rest = 0, weighted = 0;
  for (Index k = 0; k < K; ++k) {
    if (k == best) continue;
    const float l = logit(k) - largest;
    const float e = expf(l);
    rest += e;
    if (e != 0) weighted += e * l;
  }
  rest += largest - largest;  // NaN where the largest logit is not finite
  const float log_sum = log1pf(rest);
  if (!op.entropy.empty()) op.entropy.data[t] = log_sum - weighted / (1 + rest);
  if (op.logp.empty()) return;
  const Index target = op.target.data[t];
  op.logp.data[t] = target < 0 || target >= K ? __int_as_float(0x7fc00000)
                                              : logit(target) - largest - log_sum;
}

}  // namespace

void run(Cuda& cuda, const TokenScores& op) {
  const Index L = op.logits.extent[0];
  if (L == 0) return;
  scores_kernel<<<static_cast<unsigned>(div_up(L, kThreads)), kThreads, 0, stream_of(cuda)>>>(op);
  ok_launch();
}

}  // namespace genossm
