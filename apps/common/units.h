// Numbers as people read them.
#pragma once

#include <string>

namespace ibot::apps {

/// Three digits with a prefix: "21.7 M", "1.04 T".
std::string format_count(double value);

/// "3.0 GiB".
std::string format_bytes(double bytes);

}  // namespace ibot::apps
