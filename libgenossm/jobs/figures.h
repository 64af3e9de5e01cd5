// The figures of a test as JSON and as text for people.
#pragma once

#include <string>
#include <vector>

#include "libgenossm/tasks/metrics.h"

namespace genossm {

std::string json_real(double value);  // shortest text that reads back; null if not finite
std::string json_reals(const std::vector<double>& values);
std::string short_number(double value);  // six significant digits, for tables

std::string figures_json(const ClassificationMetrics& metrics,
                         const std::vector<std::string>& classes);
std::string figures_json(const RegressionMetrics& metrics);

// Several lines: figures with their intervals, and the confusion matrix where it is small.
std::string figures_text(const ClassificationMetrics& metrics,
                         const std::vector<std::string>& classes);
std::string figures_text(const RegressionMetrics& metrics);

}  // namespace genossm
