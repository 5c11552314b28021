#include "ibot/base/version.h"

namespace ibot {

const char* commit() { return IBOT_COMMIT; }

}  // namespace ibot
