#include "libgenossm/jobs/mutate.h"

#include <algorithm>
#include <array>
#include <optional>

#include "libgenossm/output/effect_plot.h"
#include "libgenossm/output/text_file.h"

namespace genossm {
namespace {

constexpr std::string_view kBases = "ACGT";
constexpr std::size_t kDeletion = 4, kFirstInsertion = 5;

// The regions that the options name, all contigs where they name none.
std::vector<Region> regions_of(const MutateOptions& options, const Genome& genome) {
  const SourceOptions& source = options.source;
  std::vector<Region> regions;
  if (!source.regions.empty()) regions = parse_regions(source.regions, genome, source.clip);
  if (!source.regions_file.empty()) {
    const auto more = read_bed(source.regions_file, genome, source.clip);
    regions.insert(regions.end(), more.begin(), more.end());
  }
  if (regions.empty()) {
    fail(Fault::usage, "no regions: give them by -r or -R");
  }
  return regions;
}

class MutateRun {
 public:
  MutateRun(const OpenedModel& model, Device& device, const MutateOptions& options)
      : options_(options),
        genome_(Genome::open(reference_of(options))),
        text_(genome_),
        regions_(regions_of(options, genome_)),
        scorer_(EffectScorer::make(model, device, &text_, options.effect)),
        fields_(scorer_->fields()) {
    rows_ = {"A", "C", "G", "T"};
    if (options.indels) {
      for (const char* name : {"del", "insA", "insC", "insG", "insT"}) rows_.emplace_back(name);
    }
    refuse_senseless();
    Provenance p = options.provenance;
    for (auto& pair : provenance_of(model)) p.push_back(pair);
    for (auto& pair : scorer_->definition()) p.push_back(pair);
    provenance_ = std::move(p);
  }

  JobReport run() {
    open_output();
    for (const Region& region : regions_) one(region);
    if (matrix_) matrix_->finish();
    if (changes_) changes_->finish();
    if (!options_.plot.empty()) write_plot();
    report_.records = static_cast<Index>(regions_.size());
    report_.unit = "allele";
    for (const std::string& warning : genome_.warnings()) ++report_.warnings[warning];
    scorer_->add_to(report_);
    return report_;
  }

 private:
  // One change: which cell of the matrix, and how VCF writes it.
  struct Cell {
    Index base = 0;  // of the region
    std::size_t row = 0;
    VariantRecord record;
  };

  static const std::string& reference_of(const MutateOptions& options) {
    if (options.source.fasta_ref.empty()) {
      fail(Fault::usage, "no reference: give an indexed FASTA by -f");
    }
    return options.source.fasta_ref;
  }

  void refuse_senseless() const {
    if (options_.plot.empty()) return;
    if (regions_.size() != 1 || regions_[0].end - regions_[0].begin > kMostPlotBases) {
      fail(Fault::usage,
           "--plot draws one region of at most " + std::to_string(kMostPlotBases) + " bases");
    }
  }

  // The number that a matrix holds: the first of the fields.
  float number(const Site& site) const {
    const FieldValues values = scorer_->value(site, 0);
    return site.alleles[0].status == AlleleStatus::ok ? values.reals[0] : kNoScore;
  }

  void open_output() {
    const std::string type = output_type(
        options_.output, {"npz", "npy", "safetensors", "tsv", "tsv.gz", "vcf", "vcf.gz"},
        options_.output.path == "-" ? "tsv" : "npz");
    Provenance p = provenance_;
    if (type == "npz" || type == "npy" || type == "safetensors") {
      std::string columns;
      for (const std::string& row : rows_) columns += (columns.empty() ? "" : " ") + row;
      p.emplace_back("columns", json_text(columns));
      p.emplace_back("values", json_text(fields_[0].id));
      MatrixSpec spec;
      spec.name = "scores";
      spec.columns = static_cast<Index>(rows_.size());
      spec.per_base = true;
      spec.provenance = json_line(p);
      matrix_ = open_matrix(options_.output, spec);
      return;
    }
    // The changes are a table of variants of our own making.
    VariantHeader header;
    header.format = VariantFormat::table;
    header.lines = {"#chrom\tpos\tref\talt"};
    VariantOutput output;
    output.request = options_.output;
    output.request.type = type;
    output.provenance = json_line(p);
    output.fields = fields_;
    for (const std::string& contig : genome_.contigs()) {
      output.contigs.emplace_back(contig, genome_.length(contig));
    }
    changes_ = open_variants(output, header);
  }

  void one(const Region& region) {
    if (matrix_) {
      matrix_->begin_record(
          {region.name, region.contig, region.begin, region.end, region.end - region.begin});
    }
    // Whole bases make a block, so that their cells are written together.
    const auto changes = static_cast<Index>(options_.indels ? 8 : 3);
    const Index step = std::max<Index>(1, scorer_->block() / changes);
    for (Index begin = region.begin; begin < region.end; begin += step) {
      block(region, begin, std::min(region.end, begin + step));
    }
    if (matrix_) matrix_->end_record();
  }

  void block(const Region& region, Index begin, Index end) {
    const std::string bases = text_.window(region.contig, begin, end);
    std::vector<Cell> cells;
    std::vector<Site> sites;
    for (Index at = begin; at < end; ++at) {
      const char base = bases[static_cast<std::size_t>(at - begin)];
      if (Tokenizer::base_index(base) < 0) {
        report_.skipped[std::string(name_of(AlleleStatus::ambiguous))] += 1;
        continue;
      }
      for (std::size_t b = 0; b < kBases.size(); ++b) {
        if (Tokenizer::base_index(base) != static_cast<int>(b)) {
          add(region, at, b, {at, std::string(1, base), std::string(1, kBases[b])}, cells, sites);
        }
      }
      if (!options_.indels) continue;
      add(region, at, kDeletion, {at, std::string(1, base), ""}, cells, sites);
      for (std::size_t b = 0; b < kBases.size(); ++b) {
        add(region, at, kFirstInsertion + b, {at + 1, "", std::string(1, kBases[b])}, cells, sites);
      }
    }
    scorer_->score(sites);
    const auto columns = rows_.size();
    std::vector<float> values(static_cast<std::size_t>(end - begin) * columns, kNoScore);
    for (Index at = begin; at < end; ++at) {
      const auto i = static_cast<std::size_t>(at - begin);
      const int own = Tokenizer::base_index(bases[i]);
      if (own >= 0) values[i * columns + static_cast<std::size_t>(own)] = 0;
    }
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const AlleleStatus status = sites[c].alleles[0].status;
      if (status == AlleleStatus::ok) {
        ++report_.bases;
      } else {
        ++report_.skipped[std::string(name_of(status))];
      }
      const auto i = static_cast<std::size_t>(cells[c].base - begin);
      values[i * columns + cells[c].row] = number(sites[c]);
      if (changes_) write(cells[c], sites[c]);
    }
    if (matrix_) {
      matrix_->rows({values.data(), {end - begin, static_cast<Index>(columns)}});
    }
    if (!options_.plot.empty()) {
      plot_.bases += bases;
      plot_.scores.insert(plot_.scores.end(), values.begin(), values.end());
    }
    if (options_.effect.run.progress) options_.effect.run.progress(report_.bases, 0);
  }

  void add(const Region& region, Index at, std::size_t row, Change change, std::vector<Cell>& cells,
           std::vector<Site>& sites) {
    Cell cell{at, row, {}};
    cell.record.contig = region.contig;
    cell.record.at = change.at;
    cell.record.ref = change.ref;
    std::string alt = change.alt;
    if (cell.record.ref.empty() || alt.empty()) {
      // VCF wants a base that stays: the one before, at a contig's beginning the one after.
      if (change.at > 0) {
        --cell.record.at;
        const std::string before = text_.window(region.contig, change.at - 1, change.at);
        cell.record.ref = before + cell.record.ref;
        alt = before + alt;
      } else {
        const std::string after = text_.window(region.contig, 1, 2);
        cell.record.ref += after;
        alt += after;
      }
    }
    cell.record.line = cell.record.contig + '\t' + std::to_string(cell.record.at + 1) + '\t' +
                       cell.record.ref + '\t' + alt;
    cell.record.alts = {std::move(alt)};
    cells.push_back(std::move(cell));
    Site site;
    site.contig = region.contig;
    site.alleles.resize(1);
    site.alleles[0].change = std::move(change);
    sites.push_back(std::move(site));
  }

  void write(const Cell& cell, const Site& site) {
    std::vector<FieldValues> values;
    for (std::size_t f = 0; f < fields_.size(); ++f) values.push_back(scorer_->value(site, f));
    changes_->write(cell.record, values);
  }

  void write_plot() {
    const Region& region = regions_[0];
    plot_.contig = region.contig;
    plot_.begin = region.begin;
    plot_.rows = rows_;
    plot_.title = region.name + ", " + fields_[0].id;
    for (const auto& [key, value] : provenance_) {
      if (key != "model" && key != "score") continue;
      const bool text = value.size() >= 2 && value.front() == '"';  // of JSON
      plot_.title += ", " + (text ? value.substr(1, value.size() - 2) : value);
    }
    TextFile file(options_.plot, options_.output.force, false);
    file.write(effect_svg(plot_));
    file.publish();
  }

  const MutateOptions& options_;
  Genome genome_;
  ContigText text_;
  std::vector<Region> regions_;
  std::unique_ptr<EffectScorer> scorer_;
  std::vector<VariantField> fields_;
  std::vector<std::string> rows_;
  Provenance provenance_;
  std::unique_ptr<MatrixWriter> matrix_;
  std::unique_ptr<VariantWriter> changes_;
  EffectPlot plot_;
  JobReport report_;
};

}  // namespace

JobReport mutate(const OpenedModel& model, Device& device, const MutateOptions& options) {
  return MutateRun(model, device, options).run();
}

}  // namespace genossm
