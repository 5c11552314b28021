// Evaluations of images that keep their shape.
#pragma once

#include <string>

#include "ibot/evaluation/extraction.h"

namespace ibot::evaluation {

/// Throws ConfigError, which names the evaluation, where the network takes square images alone, as
/// Swin does.
void check_takes_oblong(const Subject& subject, const std::string& evaluation);

}  // namespace ibot::evaluation
