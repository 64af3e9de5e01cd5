#include "libgenossm/output/writer.h"

#include <optional>
#include <utility>

#include "kernels/core/error.h"
#include "libgenossm/base/text.h"
#include "libgenossm/output/label_table.h"
#include "libgenossm/output/matrix_writers.h"

namespace genossm {
namespace {

std::unique_ptr<MatrixWriter> open_format(const OutputRequest& request, const MatrixSpec& spec) {
  const std::string type = matrix_type(request);
  if (spec.element == Element::bf16 && type != "safetensors" && !type.starts_with("h5")) {
    fail(Fault::usage, "--dtype bf16: " + type +
                           " has no such numbers; write .safetensors, .h5 or .h5ad, or use f16 or "
                           "f32");
  }
  if (type == "npz") return open_npz(request, spec);
  if (type == "npy") return open_npy(request, spec);
  if (type == "h5" || type == "h5ad") return open_hdf5(request, spec, type == "h5ad");
  if (type == "zarr") return open_zarr(request, spec);
  if (type == "safetensors") return open_safetensors_matrix(request, spec);
  return open_matrix_tsv(request, spec, type == "tsv.gz");
}

// Holds the callers to the contract of MatrixWriter, so that the formats need not.
class CheckedWriter : public MatrixWriter {
 public:
  CheckedWriter(std::unique_ptr<MatrixWriter> format, const MatrixSpec& spec)
      : format_(std::move(format)), spec_(spec) {}

  void begin_record(const RowLabel& label) override {
    want(!open_, "begins before the one before it has ended");
    name_ = label.name;
    length_ = label.length;
    rows_ = 0;
    if (!regions_) regions_ = has_region(label);
    want(*regions_ == has_region(label), "has a region where others have none, or the reverse");
    open_ = true;
    format_->begin_record(label);
  }

  void rows(View<const float, 2> rows) override {
    want(open_, "has rows after its end");
    want(rows.extent[1] == spec_.columns, "has rows of " + std::to_string(rows.extent[1]) +
                                              " columns, want " + std::to_string(spec_.columns));
    want(rows.stride[1] == 1 || rows.extent[1] <= 1, "has rows with gaps between the columns");
    rows_ += rows.extent[0];
    format_->rows(rows);
  }

  void end_record() override {
    const Index wanted = spec_.per_base ? length_ : 1;
    want(open_, "ends twice");
    want(rows_ == wanted, "has " + std::to_string(rows_) + " rows, want " + std::to_string(wanted));
    open_ = false;
    format_->end_record();
  }

  void finish() override {
    want(!open_, "has not ended");
    want(!finished_, "was the last one already");
    finished_ = true;
    format_->finish();
  }

 private:
  void want(bool condition, const std::string& what) const {
    if (!condition) fail(Fault::internal, "record '" + shown(name_) + "' " + what);
  }

  std::unique_ptr<MatrixWriter> format_;
  MatrixSpec spec_;
  bool open_ = false, finished_ = false;
  std::optional<bool> regions_;
  std::string name_;
  Index length_ = 0, rows_ = 0;
};

}  // namespace

std::string matrix_type(const OutputRequest& request) {
  return output_type(request, {"npz", "npy", "h5", "h5ad", "zarr", "tsv", "tsv.gz", "safetensors"},
                     "npz");
}

std::unique_ptr<MatrixWriter> open_matrix(const OutputRequest& request, const MatrixSpec& spec) {
  require(spec.columns > 0, Fault::internal, "open_matrix: a matrix without columns");
  return std::make_unique<CheckedWriter>(open_format(request, spec), spec);
}

}  // namespace genossm
