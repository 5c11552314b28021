// Output folders, checked before work begins.
#pragma once

#include <filesystem>

namespace ibot::apps {

/// Creates `folder` and checks that files can be written there. Throws RequestError with the
/// system's reason.
void prepare_folder(const std::filesystem::path& folder);

/// Checks that prepare_folder() would succeed and creates no folder, so that a request refused
/// later, or a dry run, leaves none, and none disappears under another process that writes there
/// already. Throws RequestError with the system's reason.
void check_folder(const std::filesystem::path& folder);

/// Checks that a file of that name can be written. Throws RequestError with the system's reason.
void check_file(const std::filesystem::path& file);

}  // namespace ibot::apps
