// The files of a run folder, one reader each.
#pragma once

#include <filesystem>

#include "ibot/report/run_record.h"

namespace ibot::report {

/// Each adds what its file holds; a file that is absent adds nothing, lines that cannot be read are
/// counted in `problems`.
void read_config_yaml(const std::filesystem::path& path, RunRecord& run);
void read_metrics(const std::filesystem::path& path, RunRecord& run);
/// The error that ends OUT/log, if one does.
void read_log(const std::filesystem::path& path, RunRecord& run);

void read_epochs(const std::filesystem::path& path, RunRecord& run);
void read_bad_samples(const std::filesystem::path& path, RunRecord& run);
void read_report(const std::filesystem::path& path, RunRecord& run);

}  // namespace ibot::report
