#include "libgenossm/jobs/variants.h"

#include <algorithm>
#include <optional>

#include "libgenossm/jobs/variant_sites.h"

namespace genossm {
namespace {

// Text of records that waits for its scores.
constexpr std::size_t kMostWaitingBytes = std::size_t{64} << 20;

class VariantsRun {
 public:
  VariantsRun(const OpenedModel& model, Device& device, const VariantsOptions& options)
      : model_(model), device_(device), options_(options) {}

  JobReport run() {
    // The input's first record comes before everything that takes time or leaves traces.
    reader_ = VariantReader::open(options_.input);
    if (!options_.reference.empty()) {
      genome_.emplace(Genome::open(options_.reference));
      text_.emplace(*genome_);
      for (const std::string& warning : genome_->warnings()) ++report_.warnings[warning];
    } else if (reader_->header().format != VariantFormat::table) {
      fail(Fault::usage, "no reference: give the FASTA that the variants were called on by -f");
    }
    scorer_ = EffectScorer::make(model_, device_, text_ ? &*text_ : nullptr, options_.effect);
    const Index window = effect_window_or_none();
    const Index anchor = options_.effect.anchor >= 0 ? options_.effect.anchor : (window - 1) / 2;
    maker_.emplace(genome_ ? &*genome_ : nullptr, text_ ? &*text_ : nullptr, options_.ref_mismatch,
                   window, anchor);
    fields_ = scorer_->fields();
    VariantRecord record;
    bool more = reader_->next(record);
    open_output();
    const Index block = scorer_->block();
    while (more) {
      add(std::move(record));
      if (waiting_alleles_ >= block || waiting_bytes_ >= kMostWaitingBytes) flush();
      record = VariantRecord();
      more = reader_->next(record);
    }
    flush();
    if (variants_) variants_->finish();
    if (features_) features_->finish();
    report_.unit = "allele";
    scorer_->add_to(report_);
    for (const auto& [text, n] : reader_->warnings()) report_.warnings[text] += n;
    for (const auto& [text, n] : maker_->warnings()) report_.warnings[text] += n;
    return report_;
  }

 private:
  struct Waiting {
    VariantRecord record;
    Site site;
  };

  // Only tables without a reference need it here; a causal model may have none.
  Index effect_window_or_none() const {
    return genome_ ? 1 : effect_window(model_, options_.effect);
  }

  void open_output() {
    Provenance p = options_.provenance;
    for (auto& pair : provenance_of(model_)) p.push_back(pair);
    for (auto& pair : scorer_->definition()) p.push_back(pair);
    p.emplace_back("ref_mismatch",
                   json_text(options_.ref_mismatch == RefMismatch::skip    ? "skip"
                             : options_.ref_mismatch == RefMismatch::error ? "error"
                                                                           : "use-vcf"));
    const std::string type = output_type(
        options_.output, {"vcf", "vcf.gz", "bcf", "tsv", "tsv.gz", "npz", "npy"}, "vcf");
    if (type == "npz" || type == "npy") {
      if (scorer_->feature_columns() == 0) {
        fail(Fault::usage, type + " holds the vectors of --score embdist; want vcf, bcf or tsv");
      }
      if (!options_.index.empty()) {
        fail(Fault::usage, "--write-index: " + type + " cannot be indexed; want vcf.gz or bcf");
      }
      MatrixSpec spec;
      spec.name = "features";
      spec.columns = scorer_->feature_columns();
      spec.provenance = json_line(p);
      features_ = open_matrix(options_.output, spec);
      return;
    }
    VariantOutput output;
    output.request = options_.output;
    output.index = options_.index == "auto" ? "csi" : options_.index;
    output.provenance = json_line(p);
    output.fields = fields_;
    if (genome_) {
      for (const std::string& contig : genome_->contigs()) {
        output.contigs.emplace_back(contig, genome_->length(contig));
      }
    }
    variants_ = open_variants(output, reader_->header());
  }

  void add(VariantRecord record) {
    ++report_.records;
    Waiting one{std::move(record), {}};
    one.site = maker_->make(one.record);
    waiting_alleles_ += static_cast<Index>(one.site.alleles.size());
    waiting_bytes_ += one.record.line.size() + sizeof(Waiting);
    waiting_.push_back(std::move(one));
  }

  void flush() {
    std::vector<Site> sites;
    sites.reserve(waiting_.size());
    for (Waiting& one : waiting_) sites.push_back(std::move(one.site));
    scorer_->score(sites);
    for (std::size_t i = 0; i < sites.size(); ++i) {
      count(waiting_[i].record, sites[i]);
      write(waiting_[i].record, sites[i]);
    }
    waiting_.clear();
    waiting_alleles_ = 0;
    waiting_bytes_ = 0;
    if (options_.effect.run.progress) options_.effect.run.progress(report_.bases, 0);
  }

  void count(const VariantRecord& record, const Site& site) {
    if (site.alleles.empty()) ++report_.skipped["record without ALT"];
    for (std::size_t a = 0; a < site.alleles.size(); ++a) {
      const AlleleStatus status = site.alleles[a].status;
      if (status == AlleleStatus::ok) {
        ++report_.bases;
        continue;
      }
      ++report_.skipped[std::string(name_of(status))];
      if (options_.effect.run.strict) {
        fail(Fault::input, record.place() + ": ALT " + record.alts[a] +
                               " has no score: " + std::string(name_of(status)));
      }
    }
  }

  void write(const VariantRecord& record, const Site& site) {
    if (variants_) {
      std::vector<FieldValues> values;
      for (std::size_t f = 0; f < fields_.size(); ++f) values.push_back(scorer_->value(site, f));
      variants_->write(record, values);
      return;
    }
    const Index columns = scorer_->feature_columns();
    for (std::size_t a = 0; a < site.alleles.size(); ++a) {
      std::vector<float> row = site.alleles[a].features;
      row.resize(static_cast<std::size_t>(columns), kNoScore);
      if (site.alleles[a].status != AlleleStatus::ok) std::fill(row.begin(), row.end(), kNoScore);
      RowLabel label;
      label.name = record.place() + ":" + record.ref + ":" + record.alts[a];
      label.length = static_cast<Index>(record.ref.size());
      features_->begin_record(label);
      features_->rows({row.data(), {1, columns}});
      features_->end_record();
    }
  }

  const OpenedModel& model_;
  Device& device_;
  const VariantsOptions& options_;
  std::unique_ptr<VariantReader> reader_;
  std::optional<Genome> genome_;
  std::optional<ContigText> text_;
  std::optional<SiteMaker> maker_;
  std::unique_ptr<EffectScorer> scorer_;
  std::vector<VariantField> fields_;
  std::unique_ptr<VariantWriter> variants_;
  std::unique_ptr<MatrixWriter> features_;
  std::vector<Waiting> waiting_;
  Index waiting_alleles_ = 0;
  std::size_t waiting_bytes_ = 0;
  JobReport report_;
};

}  // namespace

RefMismatch parse_ref_mismatch(const std::string& text) {
  if (text == "skip") return RefMismatch::skip;
  if (text == "error") return RefMismatch::error;
  if (text == "use-vcf") return RefMismatch::use_vcf;
  fail(Fault::usage, "--ref-mismatch '" + text + "' is none of skip, error, use-vcf");
}

JobReport score_variants(const OpenedModel& model, Device& device, const VariantsOptions& options) {
  return VariantsRun(model, device, options).run();
}

}  // namespace genossm
