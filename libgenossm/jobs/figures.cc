#include "libgenossm/jobs/figures.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "libgenossm/jobs/job.h"

namespace genossm {
namespace {

std::string estimate(const Estimate& e) {
  return json_line(
      {{"value", json_real(e.value)}, {"low", json_real(e.low)}, {"high", json_real(e.high)}});
}

std::string row(const char* name, const Estimate& e) {
  char line[160];
  if (std::isnan(e.value)) {
    std::snprintf(line, sizeof line, "%-18s undefined here\n", name);
  } else {
    std::snprintf(line, sizeof line, "%-18s %.4f   (%.4f to %.4f)\n", name, e.value, e.low, e.high);
  }
  return line;
}

}  // namespace

std::string json_real(double value) {
  if (!std::isfinite(value)) return "null";
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, value);
  return std::string(text, end.ptr);
}

std::string json_reals(const std::vector<double>& values) {
  std::string out = "[";
  for (const double value : values) {
    if (out.size() > 1) out += ", ";
    out += json_real(value);
  }
  return out + "]";
}

std::string short_number(double value) {
  if (std::isnan(value)) return "nan";
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::string figures_json(const ClassificationMetrics& m, const std::vector<std::string>& classes) {
  const auto k = classes.size();
  std::string confusion = "[", by_class = "[", bins = "[";
  for (std::size_t i = 0; i < k; ++i) {
    std::string line = "[";
    for (std::size_t j = 0; j < k; ++j) {
      if (j > 0) line += ", ";
      line += std::to_string(m.confusion[i * k + j]);
    }
    if (i > 0) confusion += ", ";
    confusion += line + "]";
    const ClassFigures& c = m.by_class[i];
    if (i > 0) by_class += ", ";
    by_class += json_line({{"class", json_text(classes[i])},
                           {"records", std::to_string(c.rows)},
                           {"predicted", std::to_string(c.predicted)},
                           {"precision", json_real(c.precision)},
                           {"recall", json_real(c.recall)},
                           {"f1", json_real(c.f1)},
                           {"auroc", json_real(c.auroc)},
                           {"auprc", json_real(c.auprc)}});
  }
  for (const CalibrationBin& b : m.bins) {
    if (bins.size() > 1) bins += ", ";
    bins += json_line({{"low", json_real(b.low)},
                       {"high", json_real(b.high)},
                       {"records", std::to_string(b.rows)},
                       {"confidence", json_real(b.confidence)},
                       {"accuracy", json_real(b.accuracy)}});
  }
  return json_line({{"records", std::to_string(m.rows)},
                    {"classes_present", std::to_string(m.present.size())},
                    {"majority", json_real(m.majority)},
                    {"accuracy", estimate(m.accuracy)},
                    {"balanced_accuracy", estimate(m.balanced_accuracy)},
                    {"mcc", estimate(m.mcc)},
                    {"f1", estimate(m.f1)},
                    {"auroc", estimate(m.auroc)},
                    {"auprc", estimate(m.auprc)},
                    {"brier", estimate(m.brier)},
                    {"log_loss", estimate(m.log_loss)},
                    {"calibration_error", json_real(m.calibration_error)},
                    {"confusion", confusion + "]"},
                    {"by_class", by_class + "]"},
                    {"calibration", bins + "]"}});
}

std::string figures_json(const RegressionMetrics& m) {
  return json_line({{"records", std::to_string(m.rows)},
                    {"pearson", estimate(m.pearson)},
                    {"spearman", estimate(m.spearman)},
                    {"r2", estimate(m.r2)},
                    {"mae", estimate(m.mae)},
                    {"rmse", estimate(m.rmse)}});
}

std::string figures_text(const ClassificationMetrics& m, const std::vector<std::string>& classes) {
  char line[160];
  std::snprintf(line, sizeof line, "%lld records; the commonest class alone: %.4f\n",
                static_cast<long long>(m.rows), m.majority);
  std::string out = line;
  out += row("accuracy", m.accuracy) + row("balanced accuracy", m.balanced_accuracy) +
         row("MCC", m.mcc) + row("F1", m.f1) + row("AUROC", m.auroc) + row("AUPRC", m.auprc) +
         row("Brier score", m.brier) + row("log-loss", m.log_loss);
  if (m.present.size() < classes.size()) {
    std::snprintf(line, sizeof line, "%zu of %zu classes have no record here and are in no mean\n",
                  classes.size() - m.present.size(), classes.size());
    out += line;
  }
  if (classes.size() > 20) return out;
  std::size_t width = 8;
  for (const std::string& name : classes)
    width = std::max(width, std::min<std::size_t>(name.size(), 20) + 1);
  const auto cell = [&](const std::string& text) {
    std::string shown = text.substr(0, 20);
    return std::string(width - std::min(width, shown.size()), ' ') + shown;
  };
  out += cell("true") + " | predicted\n" + cell("") + " |";
  for (const std::string& name : classes) out += cell(name);
  out += '\n';
  for (std::size_t i = 0; i < classes.size(); ++i) {
    out += cell(classes[i]) + " |";
    for (std::size_t j = 0; j < classes.size(); ++j) {
      out += cell(std::to_string(m.confusion[i * classes.size() + j]));
    }
    out += '\n';
  }
  return out;
}

std::string figures_text(const RegressionMetrics& m) {
  char line[80];
  std::snprintf(line, sizeof line, "%lld records\n", static_cast<long long>(m.rows));
  return line + row("Pearson r", m.pearson) + row("Spearman rho", m.spearman) + row("R2", m.r2) +
         row("MAE", m.mae) + row("RMSE", m.rmse);
}

}  // namespace genossm
