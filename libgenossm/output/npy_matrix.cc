#include "libgenossm/output/atomic_file.h"
#include "libgenossm/output/elements.h"
#include "libgenossm/output/label_table.h"
#include "libgenossm/output/matrix_writers.h"
#include "libgenossm/output/npy.h"
#include "libgenossm/output/text_file.h"
#include "libgenossm/output/unicode.h"

namespace genossm {
namespace {

class NpyWriter : public MatrixWriter {
 public:
  NpyWriter(const OutputRequest& request, const MatrixSpec& spec)
      : spec_(spec),
        file_(request.path, request.force),
        names_(names_path(request.path), request.force, false),
        encoder_(spec.element) {
    file_.write(std::string(kNpyHeader, '\0'));
    if (!spec.provenance.empty()) names_.line("##genossm=" + spec.provenance);
    names_.line(std::string("#name\tcontig\tstart\tend\tlength") +
                (spec.per_base ? "\tfirst_row\trows" : ""));
  }

  void begin_record(const RowLabel& label) override {
    encoder_.begin_record(label.name);
    label_ = label;
    first_row_ = rows_;
  }

  void rows(View<const float, 2> rows) override {
    for (Index i = 0; i < rows.extent[0]; ++i) {
      file_.write(encoder_.encode(rows.row(i), spec_.columns));
    }
    rows_ += rows.extent[0];
  }

  void end_record() override {
    const bool region = has_region(label_);
    std::string line = to_field(label_.name) + '\t' + (region ? to_field(label_.contig) : ".");
    line += '\t' + std::to_string(region ? label_.begin : -1);
    line += '\t' + std::to_string(region ? label_.end : -1);
    line += '\t' + std::to_string(label_.length);
    if (spec_.per_base) {
      line += '\t' + std::to_string(first_row_) + '\t' + std::to_string(rows_ - first_row_);
    }
    names_.line(line);
  }

  // The matrix comes last: where it is, its names are.
  void finish() override {
    file_.overwrite(0, npy_header(npy_type(spec_.element), {rows_, spec_.columns}));
    file_.sync();
    names_.publish();
    file_.publish();
  }

 private:
  MatrixSpec spec_;
  AtomicFile file_;
  TextFile names_;
  ElementEncoder encoder_;
  RowLabel label_;
  Index rows_ = 0, first_row_ = 0;
};

}  // namespace

std::string names_path(const std::string& npy_path) {
  const bool has_suffix = npy_path.ends_with(".npy") || npy_path.ends_with(".NPY");
  return (has_suffix ? npy_path.substr(0, npy_path.size() - 4) : npy_path) + ".names.tsv";
}

std::unique_ptr<MatrixWriter> open_npy(const OutputRequest& request, const MatrixSpec& spec) {
  return std::make_unique<NpyWriter>(request, spec);
}

}  // namespace genossm
