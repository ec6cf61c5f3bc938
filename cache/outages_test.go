package cache_test

import (

)

// The tests of this file are named after what somebody would be paged for.


