#include "libgenossm/runtime/gemm_replay.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>

#include "kernels/long_conv/long_conv.h"

namespace genossm {
namespace {

double seconds_of(const timeval& t) {
  return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
}

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <class F>
void for_each_product(const Block& block, const F& f) {
  for (const std::vector<Product>& walk : block.products()) {
    for (const Product& product : walk) f(product);
  }
}

// Columns wide enough for either side of any product.
std::pair<Index, Index> widest(const Model& model) {
  Index in = 1, out = 1;
  for (Index i = 0; i < model.card().layers; ++i) {
    for_each_product(model.block(i), [&](const Product& product) {
      in = std::max(in, product.linear->inputs());
      out = std::max(out, product.linear->outputs());
    });
  }
  return {in, out};
}

}  // namespace

double process_cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

double product_flop(const Model& model, Index rows) {
  double flop = 0;
  for (Index i = 0; i < model.card().layers; ++i) {
    for_each_product(model.block(i), [&](const Product& product) {
      flop += 2.0 * static_cast<double>(product.linear->inputs() * product.linear->outputs());
    });
  }
  return flop * static_cast<double>(rows);
}

Timing replay_long_convs(const Model& model, Cpu& cpu, Index tokens) {
  Index channels = 0;
  for (Index i = 0; i < model.card().layers; ++i) channels += model.block(i).convolved();
  if (channels == 0) return {};
  // A block of channels a thread, so that short sequences keep all of them busy too.
  const Index some = std::min(channels, long_conv_lanes() * cpu.threads());
  const Buffer<float> u(tokens * some), h(tokens * some), y(tokens * some);
  for (Index i = 0; i < u.size(); ++i) {
    u[i] = 0.01f * static_cast<float>(i % 127 - 63);
    h[i] = 0.01f * static_cast<float>(i % 61 - 30);
  }
  const Buffer<float> work(long_conv_work(tokens, cpu.threads()));
  const LongConv conv{.u = u.matrix(tokens, some),
                      .h = h.matrix(tokens, some),
                      .y = y.matrix(tokens, some),
                      .work = work.view()};
  run(cpu, conv);  // the model's memory is not new to it either
  const double start = wall_seconds(), cpu_start = process_cpu_seconds();
  run(cpu, conv);
  const double scale = static_cast<double>(channels) / static_cast<double>(some);
  return {scale * (wall_seconds() - start), scale * (process_cpu_seconds() - cpu_start)};
}

Timing replay_products(const Model& model, Cpu& cpu, Index rows, Index slab) {
  const auto [in, out] = widest(model);
  // A stream a thread: no thread waits for another before the end of a block, which is the best
  // that any division of the work could do.
  const Index streams = cpu.threads();
  std::vector<Buffer<float>> x, y;
  for (Index s = 0; s < streams; ++s) {
    x.emplace_back(slab * in);
    y.emplace_back(slab * out);
    for (Index i = 0; i < slab * in; ++i) x.back()[i] = 0.01f * static_cast<float>(i % 127 - 63);
    std::fill(y.back().begin(), y.back().end(), 0.0f);
  }
  const double start = wall_seconds(), cpu_start = process_cpu_seconds();
  for (Index layer = 0; layer < model.card().layers; ++layer) {
    const std::vector<std::vector<Product>> walks = model.block(layer).products();
    cpu.for_each(streams, [&](Index s) {
      Device alone{Cpu(1)};
      const auto i = static_cast<std::size_t>(s);
      const Index end = rows * (s + 1) / streams;
      // The products of a walk alone share the cache: those of the next come when it has ended.
      for (const std::vector<Product>& walk : walks) {
        for (Index at = rows * s / streams; at < end; at += slab) {
          const Index n = std::min(slab, end - at);
          for (const Product& product : walk) {
            // The sums start at zero: what a replay adds up over a whole run would overflow.
            const View<float, 2> to = y[i].matrix(n, product.linear->outputs());
            if (product.accumulate) std::fill(to.data, to.data + to.size(), 0.0f);
            product.linear->run(alone, x[i].matrix(n, product.linear->inputs()), to,
                                product.accumulate);
          }
        }
      }
    });
  }
  return {wall_seconds() - start, process_cpu_seconds() - cpu_start};
}

}  // namespace genossm
