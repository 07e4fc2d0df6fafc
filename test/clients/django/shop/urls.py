from django.urls import path

from shop import views

urlpatterns = [
    path("orders/", views.place_order),
    path("orders/<str:reference>/", views.show_order),
    path("broken-orders/", views.place_broken_order),
    path("counters/<str:name>/", views.count_up),
    path("visits/", views.visit),
    path("till/<int:key>/lock/", views.lock_till),
    path("till/<int:key>/count/", views.count_till),
    path("till/<int:key>/unlock/", views.unlock_till),
]
