#include "libgenossm/jobs/embed_plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "kernels/core/error.h"
#include "libgenossm/output/pca_plot.h"
#include "libgenossm/output/text_file.h"
#include "libgenossm/tasks/pca.h"

namespace genossm {
namespace {

std::string axis_text(int component, double share) {
  char text[64];
  std::snprintf(text, sizeof text, "component %d (%.1f%% of the variance)", component, 100 * share);
  return text;
}

class PlottedMatrix final : public MatrixWriter {
 public:
  PlottedMatrix(std::unique_ptr<MatrixWriter> to, const std::string& title, const std::string& path,
                bool force)
      : to_(std::move(to)), file_(path, force, false) {
    plot_.title = title;
  }

  void begin_record(const RowLabel& label) override {
    label_ = label;
    to_->begin_record(label);
  }

  void rows(View<const float, 2> rows) override {
    for (Index r = 0; r < rows.extent[0]; ++r) {
      const float* row = rows.row(r);
      columns_ = rows.extent[1];
      if (!std::all_of(row, row + columns_, [](float v) { return std::isfinite(v); })) {
        ++left_out_;
        continue;
      }
      if (static_cast<Index>(plot_.names.size()) == kMostPlotVectors) {
        fail(Fault::usage, "--plot draws at most " + std::to_string(kMostPlotVectors) +
                               " vectors. Choose records, or leave it out");
      }
      values_.insert(values_.end(), row, row + columns_);
      plot_.names.push_back(label_.name);
      plot_.groups.push_back(label_.contig);
    }
    to_->rows(rows);
  }

  void end_record() override { to_->end_record(); }

  void finish() override {
    const auto n = static_cast<Index>(plot_.names.size());
    Components found;
    if (n > 0) found = principal_components({values_.data(), {n, columns_}});
    plot_.x = std::move(found.first);
    plot_.y = std::move(found.second);
    plot_.x_axis = axis_text(1, found.first_share);
    plot_.y_axis = axis_text(2, found.second_share);
    plot_.title += ", " + std::to_string(n) + (n == 1 ? " vector" : " vectors");
    if (left_out_ > 0)
      plot_.title += " (" + std::to_string(left_out_) + " without values left out)";
    file_.write(pca_svg(plot_));
    file_.sync();
    to_->finish();
    file_.publish();
  }

 private:
  std::unique_ptr<MatrixWriter> to_;
  TextFile file_;
  PcaPlot plot_;
  RowLabel label_;
  std::vector<float> values_;  // [n, columns]
  Index columns_ = 0, left_out_ = 0;
};

}  // namespace

std::unique_ptr<MatrixWriter> plot_components(std::unique_ptr<MatrixWriter> to,
                                              const std::string& title, const std::string& path,
                                              bool force) {
  return std::make_unique<PlottedMatrix>(std::move(to), title, path, force);
}

}  // namespace genossm
