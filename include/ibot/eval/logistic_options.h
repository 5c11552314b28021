// Options of logistic regression.
#pragma once

#include <cstdint>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot::eval {

struct LogisticOptions {
  static constexpr const char* kSection = "logistic";

  std::vector<double> lambda{0.01, 0.1, 1.0};
  double tolerance = 1e-7;
  int64_t max_iterations = 2000;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("lambda", lambda, "weights of the L2 penalty, against the sum of all losses");
    field("tolerance", tolerance, "relative duality gap at which the solver stops");
    field("max_iterations", max_iterations, "of the solver; reaching it is reported");
  }

  void validate() const {
    check_option(!lambda.empty(), "lambda", "expected at least one number");
    for (const double value : lambda) {
      check_option(value > 0, "lambda", "expected above 0, got ", value);
    }
    check_option(tolerance > 0, "tolerance", "expected above 0, got ", tolerance);
    check_option(max_iterations > 0, "max_iterations", "expected above 0, got ", max_iterations);
  }
};

}  // namespace ibot::eval
