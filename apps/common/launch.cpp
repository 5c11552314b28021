#include "common/launch.h"

#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/run_main.h"
#include "ibot/base/error.h"

namespace ibot::apps {
namespace {

constexpr std::array<std::pair<const char*, const char*>, 3> kVariables{
    {{"RANK", "WORLD_SIZE"},
     {"SLURM_PROCID", "SLURM_NTASKS"},
     {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}}};

int64_t number_in(const char* variable) {
  const char* text = std::getenv(variable);
  IBOT_CHECK_AS(RequestError, text != nullptr, variable,
                ": expected a number, found no such variable; start every process through one "
                "launcher");
  int64_t number = -1;
  const auto end = text + std::strlen(text);
  const auto parsed = std::from_chars(text, end, number);
  IBOT_CHECK_AS(RequestError, parsed.ec == std::errc() && parsed.ptr == end && number >= 0,
                variable, ": expected a number, got ", text);
  return number;
}

}  // namespace

Launch launched_as() {
  for (const auto& [rank_variable, world_variable] : kVariables) {
    if (std::getenv(world_variable) == nullptr) continue;
    const Launch launch{number_in(rank_variable), number_in(world_variable)};
    IBOT_CHECK_AS(RequestError, launch.rank < launch.world, rank_variable,
                  ": expected a number below ", world_variable, " = ", launch.world, ", got ",
                  launch.rank);
    return launch;
  }
  return {};
}

}  // namespace ibot::apps
