#include "libgenossm/jobs/variants.h"

#include <algorithm>
#include <optional>

#include "libgenossm/jobs/variant_sites.h"
#include "libgenossm/output/kept_matrix.h"
#include "libgenossm/output/kept_variants.h"

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
    const auto next = [&] {
      record = VariantRecord();
      return reader_->next(record);
    };
    choose_share();
    open_output();
    Index number = 0;
    const Index from = std::max(share_.begin, place_.record);
    for (; more && number < from; ++number) more = next();
    const Index block = scorer_->block();
    for (; more && !finished_ && (share_.last || number < share_.end); ++number) {
      add(std::move(record));
      if (waiting_alleles_ >= block || waiting_bytes_ >= kMostWaitingBytes) flush();
      more = next();
    }
    flush();
    if (part()) {
      if (!finished_) kept_->journal().commit(kFinished);
      kept_->finish();
    } else {
      if (kept_) write_kept();
      if (variants_) variants_->finish();
      if (features_) features_->finish();
      if (kept_) kept_->journal().remove();
    }
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

  bool part() const { return options_.effect.run.keep.shards > 0; }

  // Of the records of the input, which are counted for that.
  void choose_share() {
    const KeepOptions& keep = options_.effect.run.keep;
    if (!part()) return;
    keeps_journal(keep, files(), options_.output);  // refuses streams
    const auto all = VariantReader::open(options_.input);
    for (VariantRecord record; all->next(record); record = VariantRecord()) ++records_;
    share_ = share_of(records_, keep);
  }

  SourceOptions files() const {
    SourceOptions files;
    files.inputs = {options_.input};
    files.fasta_ref = options_.reference;
    return files;
  }

  void open_output() {
    Provenance p = options_.provenance;
    for (auto& pair : provenance_of(model_)) p.push_back(pair);
    for (auto& pair : scorer_->definition()) p.push_back(pair);
    p.emplace_back("ref_mismatch",
                   json_text(options_.ref_mismatch == RefMismatch::skip    ? "skip"
                             : options_.ref_mismatch == RefMismatch::error ? "error"
                                                                           : "use-vcf"));
    const bool kept = keeps_journal(options_.effect.run.keep, files(), options_.output);
    const OutputRequest request = kept ? own_output(options_.output) : options_.output;
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
      if (!part()) features_ = open_matrix(request, spec);
      vectors_ = true;
      Facts facts{{"spec.kind", "vectors"}, {"spec.input", options_.input}};
      for (auto& fact : facts_of(spec)) {
        if (fact.first != "spec.kind") facts.push_back(std::move(fact));
      }
      if (kept) go_on(p, type, std::move(facts));
      return;
    }
    VariantOutput output;
    output.request = request;
    output.index = options_.index == "auto" ? "csi" : options_.index;
    output.provenance = json_line(p);
    output.fields = fields_;
    if (genome_) {
      for (const std::string& contig : genome_->contigs()) {
        output.contigs.emplace_back(contig, genome_->length(contig));
      }
    }
    if (part()) {
      variant_type(output, reader_->header());  // refuses what merge could not write
    } else {
      variants_ = open_variants(output, reader_->header());
    }
    if (kept) go_on(p, type, facts_of(output, options_.input));
  }

  // The output has its name taken; now its journal, if it has one. What is kept of a record are the
  // numbers alone: the record is read again when the output is written.
  void go_on(const Provenance& provenance, const std::string& type, Facts spec) {
    const KeepOptions& keep = options_.effect.run.keep;
    Facts facts = provenance;
    for (auto& fact : spec) facts.push_back(std::move(fact));
    facts.emplace_back("type", type);
    facts.emplace_back("index", options_.index);
    facts.emplace_back("sha256 of the input", file_sha256(options_.input));
    if (part()) facts.emplace_back("records of the input", std::to_string(records_));
    if (!options_.reference.empty()) {
      facts.emplace_back("reference", file_stamp(options_.reference));
    }
    kept_ = std::make_unique<JobJournal>(keep, options_.output, std::move(facts));
    const std::string& mark = kept_->journal().mark();
    finished_ = mark == kFinished;
    if (mark.empty() || finished_) return;
    place_ = unpack_place(mark);
    unpack_report(place_.report, report_);
    report_.bases = report_.found = place_.base;
    report_.records = place_.record - share_.begin;
    report_.counts["records found finished"] = report_.records;
  }

  // After a block of records: the job may end here.
  void safe_point() {
    const KeepOptions& keep = options_.effect.run.keep;
    const int signal = keep.stopped ? keep.stopped() : 0;
    if (kept_ && (signal != 0 || kept_->journal().due())) commit();
    if (signal != 0) throw Stopped(signal, kept_ != nullptr);
  }

  void commit() {
    Place place;
    place.record = share_.begin + report_.records;
    place.base = report_.bases;
    place.report = pack_report(report_);
    kept_->journal().commit(pack_place(place));
  }

  std::vector<FieldValues> values_of(const Site& site) const {
    std::vector<FieldValues> values;
    for (std::size_t f = 0; f < fields_.size(); ++f) values.push_back(scorer_->value(site, f));
    return values;
  }

  void keep(const Site& site) {
    if (!vectors_) return kept_->journal().add(kept_values(values_of(site)));
    std::vector<std::vector<float>> rows;
    for (const Allele& allele : site.alleles) rows.push_back(feature_row(allele));
    kept_->journal().add(kept_vectors(rows));
  }

  // Everything that was kept, beside the records as they are read once more.
  void write_kept() {
    Journal& journal = kept_->journal();
    if (journal.stored()) commit();
    VariantReplay replay =
        variants_ ? VariantReplay(options_.input, *variants_, fields_.size())
                  : VariantReplay(options_.input, *features_, scorer_->feature_columns());
    journal.replay([&](std::string_view frames) { replay(frames); });
    replay.end();
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
      if (kept_) {
        keep(sites[i]);
      } else {
        write(waiting_[i].record, sites[i]);
      }
    }
    waiting_.clear();
    waiting_alleles_ = 0;
    waiting_bytes_ = 0;
    if (options_.effect.run.progress) options_.effect.run.progress(report_.bases, 0);
    safe_point();
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
    if (variants_) return variants_->write(record, values_of(site));
    for (std::size_t a = 0; a < site.alleles.size(); ++a) {
      const std::vector<float> row = feature_row(site.alleles[a]);
      features_->begin_record(allele_label(record, a));
      features_->rows({row.data(), {1, static_cast<Index>(row.size())}});
      features_->end_record();
    }
  }

  std::vector<float> feature_row(const Allele& allele) const {
    std::vector<float> row = allele.features;
    row.resize(static_cast<std::size_t>(scorer_->feature_columns()), kNoScore);
    if (allele.status != AlleleStatus::ok) std::fill(row.begin(), row.end(), kNoScore);
    return row;
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
  bool vectors_ = false;  // are wanted, not fields
  std::unique_ptr<JobJournal> kept_;
  Index records_ = 0;  // of the input, for parts
  Share share_;        // of them; all by default
  Place place_;        // where this run goes on
  bool finished_ = false;
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
