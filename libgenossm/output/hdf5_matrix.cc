// Matrices in HDF5: plain, and as AnnData (encoding 0.1.0 of its on-disk format, which names every
// element's encoding-type and encoding-version).
#include <algorithm>
#include <map>

#include "libgenossm/output/elements.h"
#include "libgenossm/output/hdf5_file.h"
#include "libgenossm/output/label_table.h"
#include "libgenossm/output/matrix_writers.h"
#include "libgenossm/output/unicode.h"

namespace genossm {
namespace {

using Type = Hdf5File::Type;

constexpr Index kLabelBlock = 4096;
constexpr Index kBlockBytes = Index{1} << 20;

Type type_of(Element element) {
  return element == Element::f32 ? Type::f32 : element == Element::f16 ? Type::f16 : Type::bf16;
}

// Columns of labels that are written block by block.
class LabelColumns {
 public:
  explicit LabelColumns(Hdf5File& file) : file_(file) {}

  // `categories`: contigs as numbers, whose names come at the end.
  void create(Hdf5File::Id parent, const char* names, bool regions, bool categories) {
    regions_ = regions;
    categories_ = categories;
    names_id_ = file_.dataset(parent, names, Type::text, 0, kLabelBlock);
    lengths_id_ =
        file_.dataset(parent, categories ? "length" : "lengths", Type::i64, 0, kLabelBlock);
    if (!regions) return;
    begins_id_ = file_.dataset(parent, categories ? "start" : "starts", Type::i64, 0, kLabelBlock);
    ends_id_ = file_.dataset(parent, categories ? "end" : "ends", Type::i64, 0, kLabelBlock);
    if (categories) {
      contig_group_ = file_.group(parent, "contig");
      contigs_id_ = file_.dataset(contig_group_, "codes", Type::i32, 0, kLabelBlock);
    } else {
      contigs_id_ = file_.dataset(parent, "contigs", Type::text, 0, kLabelBlock);
    }
  }

  void add(const RowLabel& label) {
    names_.push_back(to_utf8(label.name));
    lengths_.push_back(label.length);
    if (regions_) {
      begins_.push_back(label.begin);
      ends_.push_back(label.end);
      if (categories_) {
        const auto [at, fresh] =
            numbers_.try_emplace(label.contig, static_cast<std::int32_t>(numbers_.size()));
        if (fresh) contig_names_.push_back(to_utf8(label.contig));
        codes_.push_back(at->second);
      } else {
        contigs_.push_back(to_utf8(label.contig));
      }
    }
    if (static_cast<Index>(names_.size()) == kLabelBlock) flush();
  }

  void flush() {
    file_.append(names_id_, names_);
    integers(lengths_id_, lengths_);
    if (regions_) {
      integers(begins_id_, begins_);
      integers(ends_id_, ends_);
      if (categories_) {
        file_.append(contigs_id_, Type::i32, 0, static_cast<Index>(codes_.size()), codes_.data());
      } else {
        file_.append(contigs_id_, contigs_);
      }
    }
    names_.clear();
    contigs_.clear();
    codes_.clear();
  }

  void finish() {
    flush();
    if (!categories_) return;
    for (const Hdf5File::Id id : {lengths_id_, begins_id_, ends_id_}) {
      if (id >= 0) describe(id, "array");
    }
    describe(names_id_, "string-array");
    if (!regions_) return;
    const auto id = file_.dataset(contig_group_, "categories", Type::text, 0,
                                  std::max<Index>(1, static_cast<Index>(contig_names_.size())));
    file_.append(id, contig_names_);
    describe(id, "string-array");
    describe(contigs_id_, "array");
    describe(contig_group_, "categorical");
    file_.flag(contig_group_, "ordered", false);
  }

  void describe(Hdf5File::Id id, const char* type) {
    file_.attribute(id, "encoding-type", type);
    file_.attribute(id, "encoding-version", "0.2.0");
  }

 private:
  void integers(Hdf5File::Id id, std::vector<std::int64_t>& values) {
    file_.append(id, Type::i64, 0, static_cast<Index>(values.size()), values.data());
    values.clear();
  }

  Hdf5File& file_;
  bool regions_ = false, categories_ = false;
  Hdf5File::Id names_id_ = -1, lengths_id_ = -1, begins_id_ = -1, ends_id_ = -1, contigs_id_ = -1;
  Hdf5File::Id contig_group_ = -1;
  std::vector<std::string> names_, contigs_, contig_names_;
  std::vector<std::int64_t> lengths_, begins_, ends_;
  std::vector<std::int32_t> codes_;
  std::map<std::string, std::int32_t> numbers_;
};

class Hdf5Matrix : public MatrixWriter {
 public:
  Hdf5Matrix(const OutputRequest& request, const MatrixSpec& spec, bool anndata)
      : spec_(spec),
        anndata_(anndata),
        type_(type_of(spec.element)),
        file_(request.path, request.force),
        encoder_(spec.element),
        labels_(file_) {
    const Index row = spec.columns * (spec.element == Element::f32 ? 4 : 2);
    block_ = std::clamp<Index>(kBlockBytes / row, 1, 4096);
    matrix_ = file_.dataset(file_.root(), anndata ? "X" : spec.name, type_, spec.columns, block_);
  }

  void begin_record(const RowLabel& label) override {
    if (!begun_) create_labels(has_region(label));
    encoder_.begin_record(label.name);
    label_ = label;
    first_row_ = rows_;
    if (!per_row()) labels_.add(label);
  }

  void rows(View<const float, 2> rows) override {
    for (Index i = 0; i < rows.extent[0]; ++i) {
      buffer_ += encoder_.encode(rows.row(i), spec_.columns);
      if (per_row()) labels_.add(base_label());
      ++rows_;
      if (++buffered_ == block_) flush();
    }
  }

  void end_record() override {
    if (!spec_.per_base || anndata_) return;
    offsets_.push_back(rows_);
    if (static_cast<Index>(offsets_.size()) == kLabelBlock) flush_offsets();
  }

  void finish() override {
    if (!begun_) create_labels(false);
    flush();
    labels_.finish();
    if (anndata_) {
      finish_anndata();
    } else {
      if (spec_.per_base) flush_offsets();
      if (!spec_.provenance.empty()) {
        file_.attribute(file_.root(), "provenance", spec_.provenance);
      }
    }
    file_.close();
    file_.publish();
  }

 private:
  // AnnData knows rows only: a base is a row with a name of its own.
  bool per_row() const { return anndata_ && spec_.per_base; }

  RowLabel base_label() const {
    const Index i = rows_ - first_row_;
    RowLabel label = label_;
    const bool region = has_region(label);
    label.length = 1;
    label.begin = (region ? label_.begin : 0) + i;
    label.end = label.begin + 1;
    label.name = label_.name + ":" + std::to_string(label.end);
    if (!region) label.begin = label.end = -1;
    return label;
  }

  void create_labels(bool regions) {
    begun_ = true;
    regions_ = regions;
    if (anndata_) obs_ = file_.group(file_.root(), "obs");
    labels_.create(anndata_ ? obs_ : file_.root(), anndata_ ? "_index" : "names", regions,
                   anndata_);
    if (spec_.per_base && !anndata_) {
      offsets_id_ = file_.dataset(file_.root(), "offsets", Type::i64, 0, kLabelBlock);
    }
  }

  void flush() {
    file_.append(matrix_, type_, spec_.columns, buffered_, buffer_.data());
    buffer_.clear();
    buffered_ = 0;
  }

  void flush_offsets() {
    file_.append(offsets_id_, Type::i64, 0, static_cast<Index>(offsets_.size()), offsets_.data());
    offsets_.clear();
  }

  void frame(Hdf5File::Id group, const std::vector<std::string>& columns) {
    labels_.describe(group, "dataframe");
    file_.attribute(group, "_index", "_index");
    file_.attribute(group, "column-order", columns);
  }

  void finish_anndata() {
    file_.attribute(file_.root(), "encoding-type", "anndata");
    file_.attribute(file_.root(), "encoding-version", "0.1.0");
    labels_.describe(matrix_, "array");
    frame(obs_, regions_ ? std::vector<std::string>{"contig", "start", "end", "length"}
                         : std::vector<std::string>{"length"});
    const auto var = file_.group(file_.root(), "var");
    const auto names = file_.dataset(var, "_index", Type::text, 0, kLabelBlock);
    std::vector<std::string> columns;
    for (Index c = 1; c <= spec_.columns; ++c) columns.push_back("v" + std::to_string(c));
    file_.append(names, columns);
    labels_.describe(names, "string-array");
    frame(var, std::vector<std::string>());
    for (const char* name : {"layers", "obsm", "obsp", "uns", "varm", "varp"}) {
      const auto group = file_.group(file_.root(), name);
      file_.attribute(group, "encoding-type", "dict");
      file_.attribute(group, "encoding-version", "0.1.0");
      if (std::string_view(name) == "uns" && !spec_.provenance.empty()) {
        file_.scalar(group, "genossm", spec_.provenance);
      }
    }
  }

  MatrixSpec spec_;
  bool anndata_;
  Type type_;
  Hdf5File file_;
  ElementEncoder encoder_;
  LabelColumns labels_;
  Hdf5File::Id matrix_ = -1, obs_ = -1, offsets_id_ = -1;
  bool begun_ = false, regions_ = false;
  RowLabel label_;
  Index block_ = 1, buffered_ = 0, rows_ = 0, first_row_ = 0;
  std::string buffer_;  // rows that do not fill a block yet
  std::vector<std::int64_t> offsets_{0};
};

}  // namespace

std::unique_ptr<MatrixWriter> open_hdf5(const OutputRequest& request, const MatrixSpec& spec,
                                        bool anndata) {
  return std::make_unique<Hdf5Matrix>(request, spec, anndata);
}

}  // namespace genossm
