// consumer MODEL_FOLDER IN.fa OUT.tsv: one op by itself, then the likelihoods of a file by a job.
// Ends with 0 where the op gave what its formula says.
#include <cmath>
#include <exception>
#include <iostream>
#include <vector>

#include "kernels/norm/norm.h"
#include "libgenossm/jobs/score.h"

namespace {

// RMSNorm of (3, 4): both divided by the root of 12.5.
bool norm_is_right(genossm::Device& device) {
  const std::vector<float> x{3, 4}, weight{1, 2};
  std::vector<float> y(2);
  genossm::Norm op;
  op.x = {x.data(), {1, 2}};
  op.weight = {weight.data(), {2}};
  op.y = {y.data(), {1, 2}};
  op.eps = 0;
  genossm::launch(device, op);
  return std::abs(y[0] - 3 / std::sqrt(12.5)) < 1e-6 && std::abs(y[1] - 8 / std::sqrt(12.5)) < 1e-6;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    genossm::Device device{genossm::Cpu(1)};
    if (!norm_is_right(device)) return 1;
    const genossm::OpenedModel model =
        genossm::open_model({argv[1], ""}, device, genossm::Precision::fp32);
    genossm::ScoreOptions job;
    job.source.inputs = {argv[2]};
    job.run.memory = genossm::Index{1} << 30;
    job.run.keep.resume = genossm::Resume::never;
    job.output = {argv[3], "", true};
    const genossm::JobReport done = genossm::score(model, device, job);
    std::cout << model.name << ": " << done.records << " records, " << done.bases << " bases\n";
    return 0;
  } catch (const std::exception& e) {
    std::cerr << "consumer: " << e.what() << '\n';
    return 1;
  }
}
