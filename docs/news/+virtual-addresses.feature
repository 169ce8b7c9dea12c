Operators can give services of the mesh virtual addresses of their choice (`/v1/internal/service-virtual-ip`).
