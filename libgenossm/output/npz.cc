#include <algorithm>

#include "libgenossm/output/atomic_file.h"
#include "libgenossm/output/elements.h"
#include "libgenossm/output/label_table.h"
#include "libgenossm/output/little.h"
#include "libgenossm/output/matrix_writers.h"
#include "libgenossm/output/npy.h"
#include "libgenossm/output/unicode.h"
#include "libgenossm/output/zip_writer.h"

namespace genossm {
namespace {

std::string_view bytes_of_text(const std::u32string& text) {
  return {reinterpret_cast<const char*>(text.data()), 4 * text.size()};
}

// The matrix comes first and is written row by row; all that needs its size follows.
class NpzWriter : public MatrixWriter {
 public:
  NpzWriter(const OutputRequest& request, const MatrixSpec& spec)
      : spec_(spec), file_(request.path, request.force), zip_(file_), encoder_(spec.element) {
    zip_.begin_member(spec.name + ".npy", kNpyHeader);
  }

  void begin_record(const RowLabel& label) override {
    encoder_.begin_record(label.name);
    labels_.add(label);
  }

  void rows(View<const float, 2> rows) override {
    const Index n = rows.extent[0];
    if (spec_.element == Element::f32 && rows.stride[0] == spec_.columns) {
      const auto values = static_cast<std::size_t>(n * spec_.columns);
      zip_.write({reinterpret_cast<const char*>(rows.data), sizeof(float) * values});
    } else {
      for (Index i = 0; i < n; ++i) zip_.write(encoder_.encode(rows.row(i), spec_.columns));
    }
    rows_ += n;
  }

  void end_record() override {
    if (spec_.per_base) offsets_.push_back(rows_);
  }

  void finish() override {
    zip_.end_member(npy_header(npy_type(spec_.element), {rows_, spec_.columns}));
    const std::size_t n = labels_.size();
    texts("names.npy", n, [&](std::size_t i) { return labels_.name(i); });
    integers("lengths.npy", labels_.lengths());
    if (labels_.has_regions()) {
      texts("contigs.npy", n, [&](std::size_t i) { return labels_.contig(i); });
      integers("starts.npy", labels_.begins());
      integers("ends.npy", labels_.ends());
    }
    if (spec_.per_base) integers("offsets.npy", offsets_);
    if (!spec_.column_names.empty()) {
      texts("columns.npy", spec_.column_names.size(),
            [&](std::size_t i) { return std::string_view(spec_.column_names[i]); });
    }
    if (!spec_.provenance.empty()) provenance();
    zip_.finish();
    file_.publish();
  }

 private:
  void integers(const std::string& name, const std::vector<std::int64_t>& values) {
    zip_.begin_member(name);
    zip_.write(npy_header("<i8", {static_cast<Index>(values.size())}));
    zip_.write(bytes_of(values));
    zip_.end_member();
  }

  // numpy's texts are all as wide as the longest, in UTF-32, and end with zeros.
  template <class At>
  void texts(const std::string& name, std::size_t n, At at) {
    std::size_t width = 1;
    for (std::size_t i = 0; i < n; ++i) width = std::max(width, to_utf32(at(i)).size());
    zip_.begin_member(name);
    zip_.write(npy_header("<U" + std::to_string(width), {static_cast<Index>(n)}));
    for (std::size_t i = 0; i < n; ++i) {
      std::u32string text = to_utf32(at(i));
      text.resize(width, U'\0');
      zip_.write(bytes_of_text(text));
    }
    zip_.end_member();
  }

  void provenance() {
    const std::u32string text = to_utf32(spec_.provenance);
    zip_.begin_member("provenance.npy");
    zip_.write(npy_header("<U" + std::to_string(text.size()), {}));
    zip_.write(bytes_of_text(text));
    zip_.end_member();
  }

  MatrixSpec spec_;
  AtomicFile file_;
  ZipWriter zip_;
  ElementEncoder encoder_;
  LabelTable labels_;
  Index rows_ = 0;
  std::vector<std::int64_t> offsets_{0};
};

}  // namespace

std::unique_ptr<MatrixWriter> open_npz(const OutputRequest& request, const MatrixSpec& spec) {
  return std::make_unique<NpzWriter>(request, spec);
}

}  // namespace genossm
